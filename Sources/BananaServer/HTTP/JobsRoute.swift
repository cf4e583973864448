import BananaAPI
import HTTPTypes
import Hummingbird
import Serving

/// `/v1/jobs` and what is under it; nobody is told of other users' jobs, not even that they are
/// there.
extension DaemonRoutes {
  func addJobs(to router: Router<DaemonRequestContext>) {
    router.get(RouterPath(Route.jobs)) { _, context in
      try await Response.json(JobList(data: scheduler.jobs(for: context.peer)))
    }
    router.get(RouterPath(Route.jobs + "/:id")) { _, context in
      let id = context.parameters.get("id") ?? ""
      guard let info = await scheduler.info(of: id, for: context.peer) else { throw noJob(id) }
      return try Response.json(info)
    }
    router.delete(RouterPath(Route.jobs + "/:id")) { _, context in
      let id = context.parameters.get("id") ?? ""
      guard let info = await scheduler.cancel(id, for: context.peer) else { throw noJob(id) }
      return try Response.json(info)
    }
    router.get(RouterPath(Route.jobs + "/:id/result")) { _, context in
      let id = context.parameters.get("id") ?? ""
      guard let outcome = await scheduler.result(of: id, for: context.peer) else {
        throw noJob(id)
      }
      let answer: ImageGenerationResponse
      do throws(JobError) {
        answer = try outcome.get()
      } catch { throw APIError(error) }
      // Before they are copied: whoever fetches much at once waits.
      try context.body?.take(answer.data.reduce(0) { $0 + $1.png.count / 3 * 4 })
      return try Response.json(answer)
    }
  }

  private func noJob(_ id: String) -> APIError {
    APIError(
      .jobNotFound,
      "You have no job \"\(id.cut(64))\" here. Jobs that have ended are forgotten, those with "
        + "\"store\": true some minutes later, and all of them when bananad restarts. Ask again "
        + "for the pictures; the same seed draws the same ones.")
  }
}
