//! `pushforward lab`: particles in a browser, beside the curves that theorems say must agree.

use crate::failure::Outcome;
use crate::lab::{Server, Settings};
use crate::target;
use crate::terminal::{note, print};

/// Arguments of `lab`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A name from 'list targets', or the path of a TOML file, of a density in the plane; the page can choose another
    #[arg(default_value = "gmm9")]
    target: String,
    /// Port on 127.0.0.1 [default: any free one]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    port: u16,
}

/// Prints the address and answers until it is stopped.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    let target = target::load(&arguments.target, &mut note)?;
    let server = Server::start(Settings { target, port: arguments.port })?;
    print(&format!("{}\n", server.address()))?;
    note("open this address in a browser of this machine; Ctrl-C ends the laboratory".into());
    server.serve();
    Ok(())
}
