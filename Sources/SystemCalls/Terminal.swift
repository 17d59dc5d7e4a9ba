import CLinux
import Glibc

/// The window of a terminal, in characters.
public struct WindowSize: Hashable, Sendable {
  public var columns: Int
  public var rows: Int

  public init(columns: Int, rows: Int) {
    self.columns = columns
    self.rows = rows
  }

  /// That of the terminal behind a descriptor (TIOCGWINSZ, ioctl_tty(2)); nil when there is none, or it does not know.
  public init?(of descriptor: Int32) {
    var size = winsize()
    guard clinux_window_size(descriptor, &size) == 0, size.ws_col > 0, size.ws_row > 0 else { return nil }
    self.init(columns: Int(size.ws_col), rows: Int(size.ws_row))
  }
}
