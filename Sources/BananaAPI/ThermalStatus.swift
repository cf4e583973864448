/// How hot the machine is and what that does to drawing: a part of `GET /v1/status`.
public struct ThermalStatus: Codable, Sendable, Equatable {
  /// What the engine may use at present.
  public struct Limits: Codable, Sendable, Equatable {
    /// Pictures in one pass, at least 1.
    public var batch: Int
    /// Threads that compute, at least 1.
    public var threads: Int
    /// Share of the time spent computing, above 0 and up to 1.
    public var pace: Double

    /// What the engine may use; every argument is the property of its name.
    public init(batch: Int, threads: Int, pace: Double) {
      self.batch = batch
      self.threads = threads
      self.pace = pace
    }
  }

  /// The sensor that is nearest to where the kernel begins to slow the processor down.
  public struct Zone: Codable, Sendable, Equatable {
    /// The kernel's name for the sensor, such as `cpu-thermal`.
    public var type: String
    /// What the sensor says.
    public var celsius: Double
    /// Where the kernel begins to slow the processor down.
    public var passiveCelsius: Double

    /// A sensor and where the kernel steps in.
    public init(type: String, celsius: Double, passiveCelsius: Double) {
      self.type = type
      self.celsius = celsius
      self.passiveCelsius = passiveCelsius
    }

    private enum CodingKeys: String, CodingKey {
      case type, celsius
      case passiveCelsius = "passive_celsius"
    }
  }

  /// Pictures come more slowly than they could, because of heat.
  public var isLimited: Bool
  /// How much of its full work the engine may do, 0...1.
  public var budget: Double
  /// What the engine may use at present.
  public var limits: Limits
  /// Nil on a machine whose kernel shows no usable sensor.
  public var zone: Zone?
  /// The kernel or the firmware slows the processor down for its heat.
  public var isKernelThrottling: Bool
  /// The firmware reports too low a supply voltage.
  public var isUnderVoltage: Bool
  /// The highest clock that is allowed at present, as a share of the processor's own highest.
  public var clockLimit: Double?

  /// The state of heat; every argument is the property of its name.
  public init(
    isLimited: Bool, budget: Double, limits: Limits, zone: Zone?, isKernelThrottling: Bool,
    isUnderVoltage: Bool, clockLimit: Double?
  ) {
    self.isLimited = isLimited
    self.budget = budget
    self.limits = limits
    self.zone = zone
    self.isKernelThrottling = isKernelThrottling
    self.isUnderVoltage = isUnderVoltage
    self.clockLimit = clockLimit
  }

  private enum CodingKeys: String, CodingKey {
    case budget, limits, zone
    case isLimited = "thermal_limited"
    case isKernelThrottling = "kernel_throttling"
    case isUnderVoltage = "under_voltage"
    case clockLimit = "clock_limit"
  }
}
