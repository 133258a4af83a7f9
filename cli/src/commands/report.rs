//! `pushforward report`: the report of a run, made again from its folder.

use crate::failure::Outcome;
use crate::files::atomic::AtomicFile;
use crate::files::read_bytes;
use crate::job::job_of_run;
use crate::results::Left;
use crate::terminal::{note, print};
use crate::{opened, target};
use std::path::PathBuf;

/// Arguments of `report`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder of a run: complete, stopped, or still training
    run: PathBuf,
    /// Where to write [default: report.html in the run's folder]
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Also diagrams of these parameters, alone and in pairs, in the user's coordinates; a vector by its name (may be given several times)
    #[arg(long, value_name = "NAME")]
    show: Vec<String>,
}

/// Longest page that is compared.
const MAX_PAGE: u64 = 256 << 20;

/// Judges the run again, writes the page, and says how it differs from the one that is there.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    let folder = &arguments.run;
    opened::table(folder)?.get("target").map_or(Ok(()), target::refuse_untrusted)?;
    let left = Left::read(folder)?;
    let job = job_of_run(folder, toml::Table::new(), true)?;
    let reopened = left.judge(folder, &job)?;
    reopened.differences.iter().cloned().for_each(note);
    let page = reopened.page(&arguments.show)?;
    let own = folder.join("report.html");
    let path = arguments.output.as_ref().unwrap_or(&own);
    let before = own.is_file().then(|| read_bytes(&own, MAX_PAGE)).transpose()?;
    let before = before.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let mut file = if arguments.output.is_some() { AtomicFile::output(path)? } else { AtomicFile::create(path)? };
    file.write(page.as_bytes())?;
    file.commit()?;
    let compared = match before {
        None => "the run had none".into(),
        Some(before) if before == page => "the same as the run's report.html, byte for byte".into(),
        Some(before) => format!("it differs from the run's report.html, first in '{}'", section(&before, &page)),
    };
    print(&format!("{} written: {compared}\n", path.display()))
}

/// The heading above the first line in which two pages differ.
fn section<'a>(old: &str, new: &'a str) -> &'a str {
    let same: usize = old.lines().zip(new.lines()).take_while(|(a, b)| a == b).map(|(a, _)| a.len() + 1).sum();
    let line = new[same.min(new.len())..].find('\n').map_or(new.len(), |end| same + end);
    let heading = new[..line].rfind("<h2>").map(|at| &new[at + 4..]);
    heading.and_then(|rest| rest.split("</h2>").next()).unwrap_or("the head of the page")
}
