import Testing

@testable import YAML

/// Every expectation is what PyYAML 6.0.3 `safe_load` answers for the same text, except that integers beyond 64
/// bits are floats here.
@Suite struct ResolutionTests {
  @Test(arguments: [
    ("", "null"), ("~", "null"), ("null", "null"), ("NULL", "null"), ("nULL", "'nULL'"),
    ("yes", "true"), ("On", "true"), ("TRUE", "true"), ("no", "false"), ("OFF", "false"), ("False", "false"),
    ("y", "'y'"), ("n", "'n'"), ("tRue", "'tRue'"), ("oN", "'oN'"),
  ])
  func words(_ text: String, _ expected: String) {
    #expect(outline(text) == expected)
  }

  @Test(arguments: [
    ("0", "0"), ("-0", "0"), ("+0", "0"), ("00", "0"), ("12", "12"), ("+12", "12"), ("-12", "-12"),
    ("1_000", "1000"), ("1_", "1"), ("1__2", "12"), ("_1", "'_1'"), ("0755", "493"), ("0_7", "7"),
    ("0_", "0"), ("08", "'08'"), ("0o7", "'0o7'"), ("0x1F", "31"), ("0xfF_", "255"), ("0x", "'0x'"),
    ("0b101", "5"), ("-0b1", "-1"), ("0b2", "'0b2'"), ("1:30", "90"), ("-1:30", "-90"),
    ("190:20:30", "685230"), ("1:60", "'1:60'"), ("1:5:", "'1:5:'"), ("01:30", "'01:30'"), ("0:30", "'0:30'"),
    ("10:8080", "'10:8080'"), ("+", "'+'"), ("-", "'-'"), ("--1", "'--1'"),
    ("9223372036854775807", "9223372036854775807"), ("0x8000000000000000", "9.223372036854776e+18"),
    ("-100000000000000000000", "-1e+20"),
    ("1:9223372036854775807", "'1:9223372036854775807'"), ("localhost:8080", "'localhost:8080'"),
  ])
  func integers(_ text: String, _ expected: String) {
    #expect(outline(text) == expected)
  }

  @Test(arguments: [
    ("1.5", "1.5"), ("-1.5", "-1.5"), ("1.", "1.0"), (".5", "0.5"), (".5_", "0.5"), ("-.5", "'-.5'"),
    ("._1", "'._1'"), (".", "'.'"), ("1e3", "'1e3'"), ("1.0e3", "'1.0e3'"), ("1.0e+3", "1000.0"),
    ("1.e+3", "1000.0"), ("1_0.2_5", "10.25"), ("1:30.5", "90.5"), (".inf", "inf"), ("-.INF", "-inf"),
    (".nan", "nan"), ("+.nan", "'+.nan'"), ("1.5.5", "'1.5.5'"), ("127.0.0.1", "'127.0.0.1'"),
  ])
  func floats(_ text: String, _ expected: String) {
    #expect(outline(text) == expected)
  }

  @Test(arguments: [
    ("2020-01-01", "<a timestamp>"), ("2020-1-1", "'2020-1-1'"), ("2020-1-1 10:00:00", "<a timestamp>"),
    ("2001-12-14t21:59:43.10-05:00", "<a timestamp>"), ("2020-01-01 soon", "'2020-01-01 soon'"),
  ])
  func timestamps(_ text: String, _ expected: String) {
    #expect(outline(text) == expected)
  }

  private func outline(_ text: String) -> String {
    Scalar(text: text, value: Resolution.value(ofPlain: text), isPlain: true).outline
  }
}
