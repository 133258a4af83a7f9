//! The layers of the library and of the command: imports go down only, `unsafe` stays in seven files, the library leans on four crates,
//! files stay short.

use std::fs;
use std::path::{Path, PathBuf};

/// Every module and its layer. A module imports from lower layers; `theory` holds documentation and imports nothing.
const LAYERS: [(&str, usize); 24] = [
    ("error", 0),
    ("parallel", 0),
    ("mutation", 0),
    ("settings", 1),
    ("num", 1),
    ("linalg", 1),
    ("rng", 1),
    ("autodiff", 2),
    ("nn", 2),
    ("state", 3),
    ("density", 3),
    ("divergence", 3),
    ("search", 4),
    ("symmetry", 4),
    ("transport", 4),
    ("estimate", 5),
    ("continual", 5),
    ("metric", 5),
    ("velocity", 6),
    ("model", 7),
    ("run", 8),
    ("verify", 9),
    ("theory", 0),
    ("lib", 10),
];

/// The modules of the command and their layers, by the same rule. Commands, a file each, import nothing from each other.
const COMMAND: [(&str, usize); 36] = [
    ("signal", 0),
    ("curves", 0),
    ("style", 0),
    ("progress", 0),
    ("duration", 0),
    ("discontinuities", 0),
    ("failure", 1),
    ("record", 1),
    ("evaluations", 1),
    ("terminal", 2),
    ("memory", 2),
    ("files", 3),
    ("forecast", 3),
    ("saved", 4),
    ("fingerprint", 4),
    ("model", 5),
    ("checkpoint", 5),
    ("target", 5),
    ("certified", 6),
    ("config", 6),
    ("conditions", 6),
    ("verification", 6),
    ("run_folder", 6),
    ("interrupt", 6),
    ("training", 7),
    ("verdict", 7),
    ("opened", 7),
    ("comparison", 8),
    ("summary", 8),
    ("report", 9),
    ("words", 10),
    ("results", 11),
    ("lab", 12),
    ("supervise", 12),
    ("job", 13),
    ("commands", 14),
];

/// The files at the root of the command: they declare the modules, and import from any.
const ROOTS: [&str; 2] = ["cli/src/lib.rs", "cli/src/main.rs"];

/// Imports within a layer, importer first; without a cycle. Tests may use any module of their layer.
const NEIGHBOURS: [(&str, &str, &str); 4] = [
    ("linalg", "num", "a matrix holds entries of the sealed scalar type"),
    ("rng", "num", "variates of either precision"),
    ("rng", "linalg", "a batch of normals is a matrix"),
    ("nn", "autodiff", "layers are tape operations"),
];

/// The only files with `unsafe`.
const UNSAFE: [&str; 7] = [
    "src/linalg/gemm.rs",
    "src/linalg/gemm/general.rs",
    "src/linalg/gemm/once.rs",
    "src/linalg/gemm/own.rs",
    "src/linalg/gemm/tiles.rs",
    "src/num/simd.rs",
    "src/num/wide.rs",
];

const DEPENDENCIES: [&str; 4] = ["matrixmultiply", "rand", "rand_pcg", "rayon"];

/// Lines of a file: printed above the first, refused above the second.
const LONG: usize = 300;
const TOO_LONG: usize = 450;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files under `folder` as (path from the root, text), in order.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut open: Vec<PathBuf> = vec![root().join(folder)];
    let mut files = Vec::new();
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

/// A line without its comment. (A `//` inside a string cuts too much, which can only hide what follows it on that line.)
fn code(line: &str) -> &str {
    line.split_once("//").map_or(line, |(code, _)| code)
}

/// The words of a text: maximal runs of letters, digits and `_`.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|w| !w.is_empty())
}

/// "src/density/gaussian.rs" → "density"; "src/error.rs" → "error"; "cli/src/files/csv.rs" → "files".
fn module(file: &str) -> &str {
    let path = file.strip_prefix("cli/").unwrap_or(file);
    let path = path.strip_prefix("src/").unwrap_or(path);
    path.split_once('/').map_or_else(|| path.trim_end_matches(".rs"), |(module, _)| module)
}

fn layer(layers: &[(&str, usize)], module: &str) -> Option<usize> {
    layers.iter().find(|(name, _)| *name == module).map(|&(_, layer)| layer)
}

/// The names that stand behind `crate::` (and, in a file that is a child of the crate's root, behind `super::`): one, or those of
/// a list in braces.
fn imports(text: &str, prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(prefix) {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = text[at + prefix.len()..].trim_start();
        match rest.strip_prefix('{') {
            None => found.extend(words(rest).next().filter(|w| rest.starts_with(w)).map(String::from)),
            Some(list) => {
                // names at depth 0 of the braces, each up to its first `::`, ` as` or comma
                let (mut depth, mut item) = (0, String::new());
                for c in list.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' | ',' if depth == 0 => {
                            found.extend(words(&std::mem::take(&mut item)).next().map(String::from))
                        }
                        '}' => depth -= 1,
                        _ if depth == 0 => item.push(c),
                        _ => {}
                    }
                    if c == '}' && depth == 0 && item.is_empty() {
                        break;
                    }
                }
            }
        }
    }
    found
}

/// What is wrong with the imports of one file, as sentences.
fn violations(file: &str, text: &str) -> Vec<String> {
    let own = module(file);
    let layers = if file.starts_with("cli/") { &COMMAND[..] } else { &LAYERS[..] };
    let Some(own_layer) = layer(layers, own) else {
        return vec![format!("{file}: the module {own} has no layer; give it one in tests/layers.rs")];
    };
    let (product, tests) = text.split_once("#[cfg(test)]").unwrap_or((text, ""));
    let strip = |part: &str| part.lines().map(code).collect::<Vec<_>>().join("\n");
    let (product, tests) = (strip(product), strip(tests));
    let at_root = file.trim_start_matches("cli/").matches('/').count() == 1 || file.ends_with("/mod.rs");
    let mut wrong = Vec::new();
    if product.contains("super::super") || tests.contains("super::super") {
        wrong.push(format!("{file}: super::super hides a layer; write crate::NAME"));
    }
    // the list of commands names them all; no other file knows one
    if own == "commands" && !file.ends_with("/mod.rs") && [&product, &tests].iter().any(|part| knows_commands(part)) {
        wrong.push(format!("{file} imports from commands; what two commands share stands below them"));
    }
    for (part, is_test) in [(&product, false), (&tests, true)] {
        let mut names = imports(part, "crate::");
        if at_root && !is_test {
            names.extend(imports(part, "super::"));
        }
        names.retain(|name| name != own);
        names.dedup();
        for name in names {
            let root = layers == LAYERS && (name == "Error" || name == "Result");
            let name = if root { "error" } else { name.as_str() };
            let listed = NEIGHBOURS.iter().any(|&(from, to, _)| (from, to) == (own, name));
            let said = format!("{file} (layer {own_layer}) imports {name}");
            match layer(layers, name) {
                None => wrong.push(format!("{said}, which has no layer")),
                Some(to) if to > own_layer => wrong.push(format!("{said} (layer {to})")),
                Some(to) if to == own_layer && !is_test && !listed => {
                    wrong.push(format!("{said} (layer {to}) of the same layer; say why in NEIGHBOURS, or do without"));
                }
                Some(_) if own == "theory" => wrong.push(format!("{said}, but holds documentation only")),
                Some(_) => {}
            }
        }
    }
    wrong
}

/// Whether a file of a command names another.
fn knows_commands(text: &str) -> bool {
    imports(text, "crate::").iter().any(|name| name == "commands") || text.contains("super::super")
}

/// What is wrong with the use of `unsafe` in one file.
fn unsafe_words(file: &str, text: &str) -> Vec<String> {
    let lines = text.lines().enumerate().map(|(i, line)| (i + 1, code(line)));
    let suspect = lines.filter(|(_, line)| words(line).any(|w| w == "unsafe" || w == "unsafe_code"));
    let bad = suspect.filter(|(_, line)| !UNSAFE.contains(&file) && line.trim() != "#![deny(unsafe_code)]");
    bad.map(|(i, line)| format!("{file}:{i}: {}", line.trim())).collect()
}

/// Checks that no file of the library imports from a higher layer, nor from its own without a listed reason.
#[test]
fn imports_go_down() {
    let wrong: Vec<String> = sources("src").iter().flat_map(|(file, text)| violations(file, text)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Checks the same of the command, whose list of modules is that of its folder, and that no command imports from another.
#[test]
fn imports_of_the_command_go_down() {
    let files: Vec<_> = sources("cli/src").into_iter().filter(|(file, _)| !ROOTS.contains(&file.as_str())).collect();
    let wrong: Vec<String> = files.iter().flat_map(|(file, text)| violations(file, text)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let gone = COMMAND.iter().filter(|(name, _)| !files.iter().any(|(file, _)| module(file) == *name));
    assert_eq!(gone.count(), 0, "a layer of the command without a module");
}

/// Checks that planted violations in the command are found: upwards, sideways within a layer, between commands, into a module without layer.
#[test]
fn planted_imports_of_the_command_are_found() {
    let found = |file: &str, text: &str| violations(file, text).join("; ");
    let upwards = "cli/src/target/samples.rs (layer 5) imports commands (layer 14)";
    assert_eq!(found("cli/src/target/samples.rs", "use crate::commands::distance::read_weights;"), upwards);
    assert!(found("cli/src/results/mod.rs", "use crate::{job, words};").contains("imports job (layer 13)"));
    assert!(found("cli/src/supervise.rs", "use super::job;").contains("imports job (layer 13)"));
    assert!(found("cli/src/model.rs", "use crate::checkpoint::NEWEST;").contains("of the same layer"));
    assert!(found("cli/src/files/csv.rs", "use crate::attic::Box;").contains("imports attic, which has no layer"));
    assert!(found("cli/src/attic.rs", "").contains("attic has no layer"));
    for text in
        ["use crate::commands::train::begin;", "use crate::{commands::train, config};", "use super::super::job;"]
    {
        assert!(found("cli/src/commands/report.rs", text).contains("imports from commands"), "{text}");
    }
    for (file, text) in [
        ("cli/src/commands/mod.rs", "use crate::{failure::EXIT_CODES, target};\n// crate::commands"),
        ("cli/src/commands/report.rs", "use crate::job::begin;\nuse crate::report::{count, plan};"),
        ("cli/src/model/flow.rs", "use super::{Model, search};"),
    ] {
        assert_eq!(found(file, text), "", "{file}");
    }
}

/// Checks that the checker of imports bites: each planted violation is found and worded, each lawful import and comment passes.
#[test]
fn planted_imports_are_found() {
    let found = |file: &str, text: &str| violations(file, text).join("; ");
    let upwards = "src/density/gaussian.rs (layer 3) imports model (layer 7)";
    for text in [
        "use crate::model::Generator;",
        "fn f() { crate::model::run() }",
        "use crate::{Error, model::{Generator, Heun}, linalg::Matrix};",
        "use crate::{\n    linalg::{Matrix, View},\n    model as other,\n};",
        "#[cfg(test)]\nmod tests {\n    use crate::model::Generator;\n}",
    ] {
        assert_eq!(found("src/density/gaussian.rs", text), upwards, "{text}");
    }
    assert_eq!(found("src/density/mod.rs", "use super::model::Generator;"), upwards.replace("gaussian", "mod"));
    assert!(found("src/density/a.rs", "use crate::divergence::LeCam;").contains("of the same layer"));
    assert!(found("src/num/a.rs", "use crate::rng::stream;").contains("of the same layer"));
    assert!(found("src/density/a.rs", "use super::super::model::Generator;").contains("hides a layer"));
    assert!(found("src/density/a.rs", "use crate::attic::Box;").contains("imports attic, which has no layer"));
    assert!(found("src/attic/mod.rs", "").contains("attic has no layer"));
    assert!(found("src/error.rs", "use crate::linalg::Matrix;").contains("(layer 0) imports linalg (layer 1)"));
    assert!(found("src/theory.rs", "use crate::error::Error;").contains("imports error"));
    for lawful in [
        "use crate::{Error, Result};\nuse crate::density::Density;\nuse super::rows;",
        "// crate::model\n/// [`crate::model::Generator`]\n//! crate::model",
        "#[cfg(test)]\nmod tests {\n    use crate::divergence::LeCam;\n}",
    ] {
        assert_eq!(found("src/density/a.rs", lawful), "");
    }
    assert_eq!(found("src/rng/a.rs", "use crate::linalg::Matrix;"), "");
}

/// Checks that the imports allowed within a layer have no cycle: each module's neighbours stand before it in LAYERS, and all are real.
#[test]
fn neighbours_have_no_cycle() {
    let place = |module| LAYERS.iter().position(|&(name, _)| name == module).unwrap();
    for (from, to, why) in NEIGHBOURS {
        assert!(layer(&LAYERS, from) == layer(&LAYERS, to) && place(to) < place(from), "{from} → {to}: {why}");
    }
}

/// Checks that only the files of kernels contain `unsafe` or lift the ban on it, by a check that finds planted ones.
#[test]
fn unsafe_stays_in_its_modules() {
    for planted in
        ["let x = unsafe { *p };", "#![allow(unsafe_code)]", "#[expect(unsafe_code)]", "unsafe impl Send for A {}"]
    {
        assert_eq!(unsafe_words("src/density/a.rs", planted).len(), 1, "{planted}");
        assert!(unsafe_words(UNSAFE[0], planted).is_empty());
    }
    assert!(unsafe_words("src/density/a.rs", "// unsafe\n#![deny(unsafe_code)]\nlet unsafely = 1;").is_empty());
    let wrong: Vec<String> = sources("src").iter().flat_map(|(file, text)| unsafe_words(file, text)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    assert!(lib.contains("\n#![deny(unsafe_code)]\n"), "src/lib.rs must deny unsafe code");
}

/// Names of dependencies in a manifest, with the heading that they stand under; development ones left out.
fn dependencies(manifest: &str) -> Vec<(String, String)> {
    let mut heading = String::new();
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[') {
            heading = name.trim_end_matches(']').to_string();
            // [dependencies.name] names its crate in the heading
            if let Some((section, name)) = heading.split_once("dependencies.") {
                found.push((format!("{section}dependencies"), name.to_string()));
            }
        } else if heading.ends_with("dependencies") {
            found.push((heading.clone(), line.split(['=', '.']).next().unwrap().trim().to_string()));
        }
    }
    found.retain(|(heading, _)| !heading.starts_with("dev-"));
    found.sort();
    found
}

/// Checks that the library depends on four crates and nothing else, by a reader of manifests that sees every form of entry.
#[test]
fn four_dependencies() {
    let forms = "[dependencies]\na = \"1\"\nb.workspace = true\n[dependencies.c]\nversion = \"1\"\n[build-dependencies]\nd = \"1\"\n\
                 [target.'cfg(unix)'.dependencies]\ne = \"1\"\n[dev-dependencies]\nf = \"1\"\n[profile.release]\ng = 1";
    let names = |text: &str| dependencies(text).into_iter().map(|(_, name)| name).collect::<Vec<_>>();
    let mut seen = names(forms);
    seen.sort();
    assert_eq!(seen, ["a", "b", "c", "d", "e"]);
    let expected: Vec<_> = DEPENDENCIES.iter().map(|name| ("dependencies".to_string(), name.to_string())).collect();
    assert_eq!(dependencies(&fs::read_to_string(root().join("Cargo.toml")).unwrap()), expected);
}

/// Checks that no file of the library is longer than 450 lines; prints the ten longest, those above 300 marked.
#[test]
fn files_stay_short() {
    let mut lengths: Vec<(usize, String)> =
        sources("src").iter().map(|(f, text)| (text.lines().count(), f.clone())).collect();
    lengths.sort_by(|a, b| b.cmp(a));
    for (lines, file) in lengths.iter().take(10) {
        println!("{lines:5} {file}{}", if *lines > LONG { "  (long: split it?)" } else { "" });
    }
    assert!(lengths[0].0 <= TOO_LONG, "{} has {} lines, more than {TOO_LONG}: split it", lengths[0].1, lengths[0].0);
}
