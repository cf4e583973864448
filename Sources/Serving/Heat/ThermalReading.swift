/// What the machine's sensors said at one moment.
package struct ThermalReading: Sendable, Equatable {
  /// One sensor and the temperature at which the kernel acts on it.
  package struct Zone: Sendable, Equatable {
    /// The kernel's name of the directory, such as `thermal_zone0`.
    package var name: String
    /// What is measured, such as `cpu-thermal`.
    package var type: String
    package var celsius: Double
    /// Where the kernel begins to slow the processor down.
    package var passiveCelsius: Double

    package init(name: String, type: String, celsius: Double, passiveCelsius: Double) {
      self.name = name
      self.type = type
      self.celsius = celsius
      self.passiveCelsius = passiveCelsius
    }
  }

  package var zones: [Zone]
  /// The kernel or the firmware slows the processor down for its heat.
  package var isKernelThrottling: Bool
  /// The firmware reports too low a supply voltage.
  package var isUnderVoltage: Bool
  /// The highest clock that is allowed at present, as a share of the processor's own highest.
  package var clockLimit: Double?

  package init(
    zones: [Zone], isKernelThrottling: Bool = false, isUnderVoltage: Bool = false,
    clockLimit: Double? = nil
  ) {
    self.zones = zones
    self.isKernelThrottling = isKernelThrottling
    self.isUnderVoltage = isUnderVoltage
    self.clockLimit = clockLimit
  }
}
