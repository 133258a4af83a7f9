//! Every parser against damaged and hostile input: no panic, no more than a second, bounded memory, and every damage that a checksum
//! can see is seen. Input number k follows from k alone, so a failure names all that is needed to repeat it.

mod memory;
mod mutate;
mod parsers;

use mutate::{Mutator, Numbers};
use parsers::{Parser, parsers, repaired};
use pushforward_cli::checkpoint::Checkpoint;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Longer than any input may take.
const SLOW: Duration = Duration::from_secs(1);

/// A place for files in memory where there is one.
fn folder() -> tempfile::TempDir {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() }.unwrap()
}

/// Runs input number k; a sentence where the parser does what it must not. Whether it was accepted counts in `accepted`.
fn one(parser: &Parser, k: u64, folder: &Path, accepted: &AtomicU64) -> Option<String> {
    let input = Mutator { seeds: &parser.seeds, words: parser.words }.input(k);
    let run = || {
        let (start, before) = (Instant::now(), memory::start());
        let found = catch_unwind(AssertUnwindSafe(|| (parser.parse)(&input, folder)));
        (found, start.elapsed(), memory::peak() - before)
    };
    let (mut found, mut time, mut peak) = run();
    // a busy machine can stop a thread for a second; a parser that hangs does so each time
    for _ in 0..4 {
        if time > SLOW {
            (found, time, peak) = run();
        }
    }
    let most = parser.share * input.len() + (16 << 20);
    let what = match found {
        Err(_) => "panicked".to_string(),
        Ok(_) if time > SLOW => format!("took {time:?}"),
        Ok(_) if peak > most as isize => format!("took {peak} bytes of memory, more than {most}"),
        Ok(ok) => {
            accepted.fetch_add(u64::from(ok), Ordering::Relaxed);
            return None;
        }
    };
    Some(format!("{}: input {k} {what}: {:?}", parser.name, String::from_utf8_lossy(&input[..input.len().min(2_000)])))
}

/// `count` inputs for each parser whose name is in `names` (all where that is empty), on `threads` threads.
fn fuzz(names: &str, count: u64, threads: u64) {
    for parser in parsers().into_iter().filter(|p| names.is_empty() || names.split(',').any(|name| name == p.name)) {
        let (start, accepted) = (Instant::now(), AtomicU64::new(0));
        let failures: Vec<String> = std::thread::scope(|scope| {
            let work = |thread: u64| {
                let (parser, accepted) = (&parser, &accepted);
                move || {
                    let folder = folder();
                    let mine = (0..count).filter(|k| k % threads == thread);
                    mine.filter_map(|k| one(parser, k, folder.path(), accepted)).take(3).collect::<Vec<_>>()
                }
            };
            let workers: Vec<_> = (0..threads).map(|t| scope.spawn(work(t))).collect();
            workers.into_iter().flat_map(|w| w.join().unwrap()).collect()
        });
        let accepted = accepted.into_inner();
        println!("{}: {count} inputs in {:.1?}, {accepted} accepted", parser.name, start.elapsed());
        assert!(failures.is_empty(), "{}", failures.join("\n"));
        // a fuzzer whose inputs all fail at the first byte tests nothing
        assert!(accepted * 200 > count, "{}: only {accepted} of {count} inputs were accepted", parser.name);
    }
}

/// Checks that no parser panics, hangs or takes unbounded memory on 2,000 damaged inputs each (a fixed sample).
#[test]
fn parsers_survive() {
    fuzz("", 2_000, 2);
}

/// The same on 10⁷ inputs each. `PUSHFORWARD_FUZZ` is another number, `PUSHFORWARD_FUZZ_THREADS` the number of threads, and
/// `PUSHFORWARD_FUZZ_PARSERS` the parsers by name, with commas between them.
#[test]
#[ignore = "an hour"]
fn parsers_survive_long() {
    let number = |key: &str| std::env::var(key).ok().map(|n| n.parse().unwrap());
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let names = std::env::var("PUSHFORWARD_FUZZ_PARSERS").unwrap_or_default();
    fuzz(&names, number("PUSHFORWARD_FUZZ").unwrap_or(10_000_000), number("PUSHFORWARD_FUZZ_THREADS").unwrap_or(cores));
}

/// Checks that a flip of one bit in every 23rd byte of a small checkpoint, and a cut there, is refused, with the name of the file, within its
/// length and 16 MiB of memory.
#[test]
fn flips_of_a_checkpoint_are_found() {
    flips(23, |byte| byte * 5 % 8..byte * 5 % 8 + 1);
}

/// The same of every bit and every length.
#[test]
#[ignore = "a minute"]
fn every_flip_of_a_checkpoint_is_found() {
    flips(1, |_| 0..8);
}

/// Flips these bits of each byte, and cuts there, `step` bytes on at a time.
fn flips(step: usize, bits: impl Fn(usize) -> std::ops::Range<usize>) {
    let folder = folder();
    let whole = parsers::small_checkpoint("kde");
    let path = folder.path().join(pushforward_cli::checkpoint::NEWEST);
    let read = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let before = memory::start();
        let answer = Checkpoint::read(folder.path(), &mut |_| ()).map(|c| c.is_some());
        assert!(memory::peak() - before <= bytes.len() as isize + (16 << 20));
        answer
    };
    assert!(matches!(read(&whole), Ok(true)));
    let mut damaged = whole.clone();
    for byte in (0..whole.len()).step_by(step) {
        for bit in bits(byte) {
            damaged[byte] ^= 1 << bit;
            assert!(read(&damaged).is_err(), "bit {bit} of byte {byte}");
            damaged[byte] ^= 1 << bit;
        }
        assert!(read(&whole[..byte]).is_err(), "cut to {byte}");
    }
}

/// Checks that hostile headers with a right checksum take no more than the file's length and 16 MiB: very many tensors, words and sizes,
/// and sizes that announce more than any machine has.
#[test]
fn hostile_headers_take_little_memory() {
    let folder = folder();
    let path = folder.path().join("m.safetensors");
    let list = |one: &dyn Fn(usize) -> String, n: usize| (0..n).map(one).collect::<Vec<_>>().join(",");
    let empty = |k: usize| format!("\"{k:x}\":{{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}");
    let headers = [
        list(&empty, 60_000),
        list(&empty, 9_000),
        format!("\"a\":{{\"dtype\":\"F32\",\"shape\":[{}],\"data_offsets\":[0,0]}}", list(&|_| "0".into(), 1_900_000)),
        "\"a\":{\"dtype\":\"F64\",\"shape\":[1099511627776,1048576],\"data_offsets\":[0,9223372036854775808]}".into(),
        "\"a\":{\"dtype\":\"F64\",\"shape\":[0,18446744073709551615],\"data_offsets\":[0,0]}".into(),
        format!("\"a\":{}", "[".repeat(3_000_000)),
        format!("\"{}\":0", "x".repeat(4_000_000)),
    ];
    for (k, entries) in headers.iter().enumerate() {
        for metadata in [String::new(), format!(",{}", list(&|k| format!("\"{k:x}\":\"\""), 20_000))] {
            let meta = format!("{{\"checksum\":\"0000000000000000\",\"format_version\":\"1\"{metadata}}}");
            let header = format!("{{\"__metadata__\":{meta},{entries}}}");
            let bytes = repaired(&[&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat());
            std::fs::write(&path, &bytes).unwrap();
            let before = memory::start();
            let accepted = pushforward_cli::files::safetensors::read(&path).is_ok();
            let peak = memory::peak() - before;
            assert!(
                peak <= bytes.len() as isize + (16 << 20),
                "header {k}: {peak} bytes for a file of {}",
                bytes.len()
            );
            assert!(!accepted || k == 1 || k == 4, "header {k} was accepted");
        }
    }
}

/// Checks that the mutations are what they claim: input k is the same each time, most inputs differ from their seed, and the allocator
/// counts.
#[test]
fn the_fuzzer_itself() {
    let seeds = vec![b"alpha = [1, 2.5]".to_vec(), b"beta".to_vec()];
    let mutator = Mutator { seeds: &seeds, words: &["nan"] };
    let inputs: Vec<Vec<u8>> = (0..500).map(|k| mutator.input(k)).collect();
    assert!((0..500).all(|k| mutator.input(k) == inputs[k as usize]));
    assert!(inputs.iter().filter(|i| !seeds.contains(i)).count() > 300);
    let mut numbers = Numbers::new(3);
    assert!((0..1_000).all(|_| numbers.below(7) < 7));
    let before = memory::start();
    drop(vec![1u8; 1 << 20]);
    assert!(memory::peak() - before >= 1 << 20);
}
