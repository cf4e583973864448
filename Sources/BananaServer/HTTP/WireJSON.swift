import BananaAPI
import FoundationEssentials
package import NIOCore
import Weights

/// JSON as the API speaks it.
package enum WireJSON {
  /// Of all that a client sends. No request needs a tenth of it, and what is within is decoded in a
  /// moment.
  private static let limits = JSONScanner.Limits(depth: 8, values: 1024, numberBytes: 64)

  package static func encode(_ value: some Encodable) throws -> ByteBuffer {
    let encoder = JSONEncoder()
    // Escaped slashes would lengthen base64 by a sixty-fourth.
    encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
    return ByteBuffer(bytes: try encoder.encode(value))
  }

  /// - Throws: `APIError` that says what is wrong with the body.
  package static func decode<Value: Decodable>(
    _ type: Value.Type, from body: ByteBuffer
  ) throws -> Value {
    try check(body.readableBytesView, as: nil)
    do {
      return try JSONDecoder().decode(type, from: Data(body.readableBytesView))
    } catch let error as APIError {
      throw error
    } catch {
      throw APIError(.invalidRequest, "The body cannot be understood. Send {\"prompt\": \"…\"}.")
    }
  }

  /// - Parameter field: Whose value the text is; nil for a body, whose members have names.
  /// - Throws: `APIError` that says what is wrong and where.
  static func check(_ text: some Collection<UInt8>, as field: String?) throws(APIError) {
    do throws(JSONError) { try JSONScanner.check(text, limits: limits) } catch {
      throw APIError(
        .invalidRequest,
        "\(field ?? "The body") is not valid JSON: \(error.reason), at byte \(error.offset). "
          + (field == nil ? "Send {\"prompt\": \"…\"}." : "Send a list of names."),
        param: field ?? error.key.map { $0.cut(64) })
    }
  }

  /// Whether `text` is a number as JSON writes it, and nothing else.
  static func isNumber(_ text: String) -> Bool {
    guard let first = text.utf8.first, let last = text.utf8.last,
      first == UInt8(ascii: "-") || 0x30...0x39 ~= first, 0x30...0x39 ~= last
    else { return false }
    return (try? JSONScanner.check(Array(text.utf8), limits: limits)) != nil
  }
}
