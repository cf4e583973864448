/// What the daemon measures of jobs and of itself.
extension Metric {
  /// What everybody may see: the state of the daemon and of the board. From counters, and from what
  /// jobs take, one could learn by differences what another user draws.
  package static let forApps: Set<Metric> = [
    queueCapacity, uptimeSeconds, isReady, temperature, thermalBudget, sharedPeels, batchLimit,
    threadLimit, pace, openModels,
  ]

  private static let seconds = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300,
  ]

  static let outcomes = Metric(
    "banana_jobs_total", .counter, "Requests for pictures by what they ended with: ok or the code.")
  static let pictures = Metric("banana_pictures_total", .counter, "Pictures drawn.")
  static let stageSeconds = Metric(
    "banana_stage_seconds", .histogram(buckets: seconds),
    "Seconds that jobs spent in each stage: queue, text, denoise, decode, encode.")
  static let batchJobs = Metric(
    "banana_batch_jobs", .histogram(buckets: [1, 2, 3, 4, 6, 8, 12, 16, 32]),
    "Jobs that were drawn together.")
  static let batchPictures = Metric(
    "banana_batch_pictures", .histogram(buckets: [1, 2, 3, 4, 6, 8, 12, 16, 32]),
    "Pictures in the passes of a batch.")
  package static let waitingJobs = Metric(
    "banana_queue_jobs", .gauge, "Jobs that wait, by priority.")
  package static let queueCapacity = Metric(
    "banana_queue_capacity", .gauge, "Jobs that may wait.")
  package static let runningJobs = Metric(
    "banana_running_jobs", .gauge, "Jobs that are being drawn.")
  package static let storedResults = Metric(
    "banana_stored_results", .gauge, "Answers that are kept to be fetched again.")
  package static let connections = Metric("banana_connections", .gauge, "Open connections.")
  package static let residentBytes = Metric(
    "banana_resident_bytes", .gauge, "Memory of the daemon's process in bytes.")
  package static let availableBytes = Metric(
    "banana_available_bytes", .gauge, "Memory that is free for new work on the machine in bytes.")
  package static let uptimeSeconds = Metric(
    "banana_uptime_seconds", .gauge, "Seconds since the daemon started.")
  package static let isReady = Metric(
    "banana_ready", .gauge, "1 when a model is open and pictures can be drawn, else 0.")
  package static let openModels = Metric("banana_open_models", .gauge, "Models that are in memory.")
  package static let temperature = Metric(
    "banana_temperature_celsius", .gauge,
    "The sensor that is nearest to where the kernel slows the processor down.")
  package static let thermalBudget = Metric(
    "banana_thermal_budget", .gauge, "The share of the full work that heat allows, 0 to 1.")
  package static let memoryPressure = Metric(
    "banana_memory_pressure_events", .gauge, "How often memory was short since the start.")
  package static let sharedPeels = Metric(
    "banana_shared_peels", .gauge, "Peels that are installed for all users.")
  package static let batchLimit = Metric(
    "banana_limit_batch", .gauge, "Pictures that the governor allows in one pass.")
  package static let threadLimit = Metric(
    "banana_limit_threads", .gauge, "Threads that the governor allows.")
  package static let pace = Metric(
    "banana_pace", .gauge, "The share of the threads' time that the governor grants, 0 to 1.")
}
