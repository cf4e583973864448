import BananaAPI
import BananaTesting
import Foundation

/// Requests that are whole, and meant to cost more than they look.
enum HostileBodies {
  typealias Field = (name: String, bytes: [UInt8])

  /// A form to edit an image.
  static func form(_ files: [Field], _ fields: [String: String]) -> [UInt8] {
    let boundary = "siege-siege-siege"
    var body: [UInt8] = []
    for (name, bytes) in files {
      body += Array(
        ("--\(boundary)\r\nContent-Disposition: form-data; name=\"\(name)\"; filename=\"a.png\"\r\n"
          + "Content-Type: image/png\r\n\r\n").utf8)
      body += bytes + Array("\r\n".utf8)
    }
    for (name, text) in fields {
      body += Array(
        ("--\(boundary)\r\nContent-Disposition: form-data; name=\"\(name)\"\r\n\r\n"
          + "\(text)\r\n").utf8)
    }
    body += Array("--\(boundary)--\r\n".utf8)
    return head(
      "POST", Route.imageEdits, type: "multipart/form-data; boundary=\(boundary)",
      length: body.count) + body
  }

  static func head(_ method: String, _ path: String, type: String, length: Int) -> [UInt8] {
    Array(
      ("\(method) \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        + "Content-Type: \(type)\r\nContent-Length: \(length)\r\n\r\n").utf8)
  }

  static func generation(_ json: String) -> [UInt8] {
    RawConnection.request("POST", Route.imageGenerations, body: Array(json.utf8))
  }

  private static func repeated(_ text: String, _ count: Int) -> String {
    String(repeating: text, count: count)
  }

  // MARK: Work before admission

  static func nested(_ files: HostileFiles) -> [[UInt8]] {
    let image: Field = ("image", files.small)
    func field(_ name: String, _ text: String) -> [UInt8] {
      form([image], ["prompt": "a", name: text])
    }
    return [
      field("peels", repeated("[", 650) + repeated("]", 650)),
      field("peels", repeated("[", 1500) + repeated("]", 1500)),
      field("peels[]", repeated("[", 1500) + repeated("]", 1500)),
      field("seed", repeated("[", 1000) + "1" + repeated("]", 1000)),
      field("steps", repeated("9", 60_000)),
      field("n", repeated(#"{"a":"#, 1000) + "1" + repeated("}", 1000)),
      field("peels", "[" + repeated("\"a\",", 15_000) + "\"a\"]"),
      generation(repeated("[", 1_000_000)),
      generation(#"{"prompt": "# + repeated(#"{"a":"#, 150_000)),
      generation(#"{"prompt": "a", "peels": "# + repeated("[", 500) + repeated("]", 500) + "}"),
      generation(#"{"prompt": "a", "peels": ["# + repeated("1,", 450_000) + "1]}"),
      generation(#"{"prompt": "a", "seed": 1"# + repeated("0", 900_000) + "}"),
      generation(#"{"prompt": ""# + repeated(#"\ud83c\udf4c"#, 80_000) + "\"}"),
      generation("{" + (0..<60_000).map { "\"k\($0)\":1," }.joined() + #""prompt":"a"}"#),
      generation(#"{"prompt": "a""# + repeated(#", "n": 1"#, 100_000) + "}"),
    ]
  }

  static func bombs(_ files: HostileFiles) -> [[UInt8]] {
    func edit(_ fields: [String: String], image: [UInt8]) -> [UInt8] {
      form(
        [("image", image), ("mask", files.bombMask)],
        fields.merging(["prompt": "a bomb"]) { old, _ in old })
    }
    let (bomb, small) = (files.bomb, files.small)
    return [
      edit(["steps": "1", "size": "256x256"], image: bomb),
      edit(["size": "300"], image: bomb), edit(["n": "11"], image: bomb),
      edit(["peels": "nothing"], image: bomb), edit(["model": "nothing"], image: bomb),
      edit(["strength": "2"], image: bomb), edit(["prompt": " "], image: bomb),
      // Decoded, and then not of the mask's size.
      edit(["steps": "1"], image: small),
      form([("image", Array(bomb.dropLast(200)))], ["prompt": "a bomb"]),
      form([("image", bomb), ("mask", bomb)], ["prompt": "opaque everywhere"]),
      // A header that says 65535 x 65535.
      form(
        [("image", Array(small[..<16]) + [0, 0, 255, 255, 0, 0, 255, 255] + small[24...])],
        ["prompt": "a bomb"]),
    ]
  }

  // MARK: Work that is drawn

  /// What the others ask for too.
  static let ordinary = generation(
    #"{"prompt": "a red pear", "size": "256x256", "steps": 2, "n": 4}"#)

  static func interactive(_ random: inout SeededGenerator) -> [UInt8] {
    generation(
      """
      {"prompt": "a red pear", "size": "256x256", "steps": 1, "priority": "interactive", \
      "n": \(Int.random(in: 1...4, using: &random))}
      """)
  }

  static func cheapLooking(_ files: HostileFiles, _ random: inout SeededGenerator) -> [UInt8] {
    switch Int.random(in: 0..<5, using: &random) {
    case 0:
      return generation(
        """
        {"prompt": "a pear", "size": "256x256", "steps": 3, "stream": true, "partial_images": 3, \
        "n": 10}
        """)
    case 1: return generation(#"{"prompt": "a pear", "size": "auto", "steps": 1, "n": 1}"#)
    case 2:
      return generation(
        """
        {"prompt": "a pear", "size": "256x256", "steps": 1, "peels": ["noto", "pixel-art", \
        {"name": "high-contrast", "strength": \(Double.random(in: 0.1...1, using: &random))}]}
        """)
    case 3:
      return form(
        [("image", files.bomb)],
        ["prompt": "a pear", "strength": "0.01", "steps": "1", "size": "256x256"])
    default:
      return form(
        [("image", files.small)],
        ["prompt": "a pear", "strength": "0.01", "steps": "1", "size": "512x512", "n": "10"])
    }
  }

  static func longJob(_ random: inout SeededGenerator) -> [UInt8] {
    generation(
      """
      {"prompt": "a slow pear", "size": "512x512", "steps": 50, "n": 10, \
      "seed": \(UInt32.random(in: 0...UInt32.max, using: &random))}
      """)
  }

  // MARK: Numbers

  static func edges(_ files: HostileFiles) -> [[UInt8]] {
    let numbers = [
      "1e-60", "1.00000000001", "1e-320", "4.9e-324", "1e308", "1e400", "-0.0", "0", "30",
      "0.9999999999999999", "1e-45", "1e-38", "18446744073709551615", "9223372036854775808", "NaN",
      "Infinity", "-1", "0.1e1", "1e0", "2.5",
    ]
    let image: Field = ("image", files.small)
    var all: [[UInt8]] = []
    for number in numbers {
      for name in ["guidance", "seed", "steps", "n", "deadline_seconds", "partial_images"] {
        all.append(
          generation(#"{"prompt": "an edge", "size": "256x256", "\#(name)": \#(number)}"#))
      }
      all.append(
        generation(
          """
          {"prompt": "an edge", "size": "256x256", "steps": 1, \
          "peels": [{"name": "noto", "strength": \(number)}]}
          """))
      for name in ["strength", "guidance", "steps"] {
        all.append(form([image], ["prompt": "an edge", "size": "256x256", name: number]))
      }
      all.append(
        form(
          [image], ["prompt": "an edge", "size": "256x256", "guidance": number, "strength": number]
        ))
    }
    return all
  }
}
