import Logging
import Synchronization

// Opening, one model at a time.
extension ModelLibrary {
  /// The engine of a model, opened if need be; cancelling the task ends the wait.
  /// - Parameters:
  ///   - name: Nil is the default one.
  ///   - account: Who pays for the time of opening it, and of closing others for it, if that is
  ///     what it takes and nobody has asked before; nil is nobody.
  package func lease(
    _ name: String?, for account: Account? = nil
  ) async throws(ModelLibraryError) -> ModelLease {
    var wait: ModelShelf.Wait?
    var hasListed = false
    defer {
      if wait != nil {
        shelf.withLock { $0.endWait(&wait) }
        // What nobody waits for any more need not be opened.
        signal()
      }
    }
    while true {
      if Task.isCancelled { throw .cancelled }
      let answer = shelf.withLock {
        $0.answer(
          name, for: account, &wait, hasListed: hasListed, in: settings.folders, now: .now)
      }
      switch answer {
      case .lease(let engine, let mappedBytes, let name):
        return makeLease(engine, mappedBytes, name)
      case .failure(let error): throw error
      case .list:
        await look()
        hasListed = true
      case .wait(let version):
        begin()
        await change(after: version)
      }
    }
  }

  private func makeLease(
    _ engine: any PictureEngine, _ mappedBytes: Int, _ name: String
  ) -> ModelLease {
    ModelLease(
      engine, mappedBytes: mappedBytes,
      giveRoom: { [weak self] in await self?.giveRoom(besides: name) ?? false },
      end: { [weak self] in self?.end(name) })
  }

  /// Waits for a change, or for the end of the task.
  private func change(after version: Int) async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { waiter in
        let isWaiting = shelf.withLock { !Task.isCancelled && $0.wait(after: version, waiter) }
        if !isWaiting { waiter.resume() }
      }
    } onCancel: {
      signal()
    }
  }

  private func signal() {
    for waiter in shelf.withLock({ $0.takeWaiters() }) { waiter.resume() }
  }

  private func end(_ name: String) {
    let engine = shelf.withLock { $0.endLease(name) }
    signal()
    guard let engine else { return }
    noteEngines()
    Task { [work] in await work.discard([engine]) }
  }

  private func begin() {
    let isNew = shelf.withLock { shelf in
      defer { shelf.isWorking = true }
      return !shelf.isWorking
    }
    if isNew { Task { await self.openPending() } }
  }

  private func openPending() async {
    while let (model, account) = shelf.withLock({ $0.next() }) {
      let start = ContinuousClock.now
      let (result, mappedBytes, took) = await open(model)
      if let account { await charge(account, took.seconds) }
      let (stale, waiters) = shelf.withLock { shelf in
        let stale = shelf.end(model, result, mappedBytes: mappedBytes, now: .now)
        return (stale, shelf.takeWaiters())
      }
      log(result, model, seconds: (ContinuousClock.now - start).seconds)
      noteEngines()
      for waiter in waiters { waiter.resume() }
      if let stale { await work.discard([stale]) }
    }
  }

  /// - Returns: Beside the engine, how long it took, but for waiting for others' jobs.
  private func open(
    _ model: InstalledModel
  ) async -> (Result<any PictureEngine, ModelLibraryError>, mappedBytes: Int, took: Duration) {
    var took = Duration.zero
    do throws(ModelLibraryError) { try await makeRoom(for: model, &took) } catch {
      return (.failure(error), 0, took)
    }
    let (result, mappedBytes) = await timed(&took) { await openWithRoom(model) }
    return (result, mappedBytes, took)
  }

  private func openWithRoom(
    _ model: InstalledModel
  ) async -> (Result<any PictureEngine, ModelLibraryError>, mappedBytes: Int) {
    do {
      let (engine, mappedBytes) = try await work.run { [self] in
        let engine = try opener(model) { share in
          self.shelf.withLock { $0.note(progress: share, of: model) }
        }
        return (engine, model.mappedBytes)
      }
      makeWay(true)
      defer { makeWay(false) }
      try await engine.prepare()
      return (.success(engine), mappedBytes)
    } catch {
      return (.failure(.unusable(name: model.name, reason: error)), 0)
    }
  }

  /// Closes what has to go until the weights of a model fit into memory; waits for jobs that still
  /// need what has to go.
  /// - Parameter took: Has the time added to it that closing takes.
  private func makeRoom(
    for model: InstalledModel, _ took: inout Duration
  ) async throws(ModelLibraryError) {
    while let available = availableBytes() {
      let (room, version, isWanted) = shelf.withLock { shelf in
        let isWanted = !shelf.isStopping && shelf.entries[model.name]?.interest ?? 0 > 0
        return (shelf.room(of: available), shelf.version, isWanted)
      }
      if room >= model.weightBytes { return }
      if !isWanted { throw .cancelled }
      if await timed(&took, { await closeLeastUsed(keeping: 0) }) { continue }
      guard shelf.withLock({ $0.retireLeastUsed() }) else {
        throw .noRoom(
          name: model.name, neededBytes: model.weightBytes, availableBytes: room)
      }
      await change(after: version)
    }
  }

  private func timed<Value>(_ total: inout Duration, _ body: () async -> Value) async -> Value {
    let start = ContinuousClock.now
    defer { total += .now - start }
    return await body()
  }

  private func log(
    _ result: Result<any PictureEngine, ModelLibraryError>, _ model: InstalledModel,
    seconds: Double
  ) {
    switch result {
    case .success(let engine):
      logger.notice(
        "model is open",
        metadata: [
          "model": "\(model.name)", "backend": "\(engine.model.backend)",
          "seconds": "\((seconds * 1000).rounded() / 1000)",
        ])
    case .failure(.cancelled), .failure(.stopping): break
    case .failure(let error):
      logger.error(
        "model cannot be opened", metadata: ["model": "\(model.name)", "reason": "\(error)"])
    }
  }
}
