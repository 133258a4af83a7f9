//! The `pushforward` command.

fn main() {
    println!("pushforward {}", env!("CARGO_PKG_VERSION"));
}
