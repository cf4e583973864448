import BananaAPI
import BananaTesting
import Serving
import Testing

@Suite(.timeLimit(.minutes(5))) struct MetricsTests {
  @Test func writesPrometheusText() {
    let metrics = MetricsRegistry()
    let jobs = Metric("jobs_total", .counter, "Jobs.\nTwo \\ lines.")
    let heat = Metric("heat_celsius", .gauge, "Heat.")
    let wait = Metric("wait_seconds", .histogram(buckets: [0.5, 1]), "Waiting.")
    metrics.count(jobs, ["code": "a\"b\n\\"])
    metrics.count(jobs, ["code": "a\"b\n\\"], by: 2)
    metrics.count(jobs, ["code": "z"])
    metrics.set(heat, to: 61.5)
    for seconds in [0.25, 0.5, 0.75, 7] { metrics.observe(wait, value: seconds) }
    #expect(
      metrics.exposition { _ in true } == #"""
        # HELP heat_celsius Heat.
        # TYPE heat_celsius gauge
        heat_celsius 61.5
        # HELP jobs_total Jobs.\nTwo \\ lines.
        # TYPE jobs_total counter
        jobs_total{code="a\"b\n\\"} 3
        jobs_total{code="z"} 1
        # HELP wait_seconds Waiting.
        # TYPE wait_seconds histogram
        wait_seconds_bucket{le="0.5"} 2
        wait_seconds_bucket{le="1"} 3
        wait_seconds_bucket{le="+Inf"} 4
        wait_seconds_sum 8.5
        wait_seconds_count 4

        """#)
  }

  @Test func tellsWhatHappened() async throws {
    try await TestDaemon.serving { daemon async throws in
      _ = try await post(#"{"prompt":"p","n":2}"#, to: daemon)
      let gauge = Metric("banana_test_gauge", .gauge, "Written by somebody else.")
      daemon.metrics.set(gauge, to: 7)
      for path in [daemon.socketPath, daemon.adminSocketPath] {
        let answer = try await RawConnection(path).exchange("GET", Route.metrics)
        #expect(answer.status == 200)
        #expect(answer.headers["content-type"]?.hasPrefix("text/plain; version=0.0.4") == true)
        for line in [
          "banana_jobs_total{code=\"ok\"} 1", "banana_pictures_total 2",
          "banana_queue_jobs{priority=\"background\"} 0", "banana_running_jobs 0",
          "banana_ready 1", "banana_pace 1", "banana_test_gauge 7",
          "banana_stage_seconds_count{stage=\"denoise\"} 1", "banana_batch_jobs_count 1",
        ] {
          #expect(answer.body.contains(line + "\n"), "\(line) is not in:\n\(answer.body)")
        }
      }
    }
  }
}
