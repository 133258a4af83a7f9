//! The policy on dependencies, read from Cargo.lock.

use std::collections::{BTreeMap, BTreeSet};

/// Everything that the lock file says the library's four dependencies bring with them. getrandom with cfg-if, libc and r-efi belongs to a
/// feature of rand that is off: the library is built without them. autocfg is of a build script.
const LIBRARY: &[&str] = &[
    "autocfg",
    "cfg-if",
    "crossbeam-deque",
    "crossbeam-epoch",
    "crossbeam-utils",
    "either",
    "getrandom",
    "libc",
    "matrixmultiply",
    "r-efi",
    "rand",
    "rand_core",
    "rand_pcg",
    "rawpointer",
    "rayon",
    "rayon-core",
];

/// Most packages in the whole lock file, tests and all platforms included.
const MOST: usize = 110;

/// Checks that the library with everything it brings is the list above, that every package is from crates.io with a checksum, and that the whole
/// tree stays small. Whoever adds a dependency changes this list, and says why in CHANGELOG.md.
#[test]
fn the_tree_is_the_one_we_know() {
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock");
    let lock: toml::Table = toml::from_str(&std::fs::read_to_string(lock).unwrap()).unwrap();
    let packages: BTreeMap<&str, &toml::Value> =
        lock["package"].as_array().unwrap().iter().map(|p| (p["name"].as_str().unwrap(), p)).collect();
    let mut found = BTreeSet::new();
    let mut open = vec!["matrixmultiply", "rand", "rand_pcg", "rayon"];
    while let Some(name) = open.pop() {
        if found.insert(name) {
            let needs = packages[name].get("dependencies").and_then(toml::Value::as_array).into_iter().flatten();
            open.extend(needs.map(|d| d.as_str().unwrap().split(' ').next().unwrap()));
        }
    }
    assert_eq!(found.into_iter().collect::<Vec<_>>(), LIBRARY);
    for (name, package) in &packages {
        let ours = name.starts_with("pushforward");
        let registry = package.get("source").and_then(toml::Value::as_str);
        assert!(
            ours || registry == Some("registry+https://github.com/rust-lang/crates.io-index"),
            "{name}: {registry:?}"
        );
        assert!(ours || package.get("checksum").is_some(), "{name} has no checksum");
    }
    assert!(packages.len() <= MOST, "{} packages", packages.len());
}

/// What an embedding crate builds beside this one, without default features: at most eleven crates. Build scripts and other platforms are not
/// in it.
const EMBEDDED: [&str; 11] = [
    "crossbeam-deque",
    "crossbeam-epoch",
    "crossbeam-utils",
    "either",
    "matrixmultiply",
    "rand",
    "rand_core",
    "rand_pcg",
    "rawpointer",
    "rayon",
    "rayon-core",
];

/// Checks that list against what cargo resolves for the library alone. Where cargo cannot say without a network, the test says so and ends.
#[test]
fn an_embedder_builds_eleven_crates() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let out = std::process::Command::new(cargo)
        .args(["tree", "--offline", "--locked", "-p", "pushforward", "--no-default-features"])
        .args(["--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    if !out.status.success() {
        println!("skipped: {}", String::from_utf8_lossy(&out.stderr));
        return;
    }
    let text = String::from_utf8(out.stdout).unwrap();
    let found: BTreeSet<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    let others: Vec<&str> = found.into_iter().filter(|name| !name.is_empty() && *name != "pushforward").collect();
    assert_eq!(others, EMBEDDED);
}

/// Licences that permissive software may bring with it; MIT, which is ours, can be given with all of them.
const LICENCES: &[&str] = &[
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "ISC",
    "Zlib",
    "Unlicense",
    "CC0-1.0",
    "Unicode-3.0",
    "LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
];

/// Checks that every package that is built here, as cargo knows it without a network, states its licence, and that each
/// word of it is in the list above. Where cargo cannot say without a network, the test says so and ends.
#[test]
fn licences_are_permissive() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let host = std::process::Command::new("rustc").arg("-vV").output().expect("rustc is there where cargo is");
    let host = String::from_utf8(host.stdout).unwrap();
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_string();
    let out = std::process::Command::new(cargo)
        .args(["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform", &host])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    if !out.status.success() {
        println!("skipped: {}", String::from_utf8_lossy(&out.stderr));
        return;
    }
    let metadata: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > LIBRARY.len() / 2);
    for package in packages {
        let (name, licence) = (&package["name"], package["license"].as_str().unwrap_or("none stated"));
        let words = licence.split([' ', '/', '(', ')']).filter(|w| !["", "OR", "AND", "WITH"].contains(w));
        words.for_each(|word| assert!(LICENCES.contains(&word), "{name}: {licence}"));
    }
}
