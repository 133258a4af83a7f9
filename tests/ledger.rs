//! The tie between `theory/`, `src/` and `tests/`: what the compiler cannot see (rustdoc checks the links inside the pages).

use std::fs;
use std::path::{Path, PathBuf};

const THEOREMS: usize = 37;
const HEADINGS: [&str; 8] = [
    "Statement",
    "Assumptions",
    "Example",
    "Proof",
    "What the machine checks",
    "In the code",
    "Exercises",
    "References",
];

/// Most lines of a statement, which a reader takes in at a glance; what does not fit is below "Remarks".
const STATEMENT: usize = 12;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A theorem's page: its number, file name and text.
struct Page {
    number: usize,
    file: String,
    text: String,
}

fn pages() -> Vec<Page> {
    let names = fs::read_dir(root().join("theory")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut pages: Vec<Page> = names
        .filter(|n| n.starts_with('T') && n.ends_with(".md"))
        .map(|file| Page {
            number: file[1..3].parse().unwrap_or_else(|_| panic!("{file}: a page is named Tnn-words.md")),
            text: read(format!("theory/{file}")),
            file,
        })
        .collect();
    pages.sort_by_key(|p| p.number);
    pages
}

/// The ledger's rows as lists of trimmed cells: number, statement, code item, test, status. (`\|` never occurs in them.)
fn ledger() -> Vec<Vec<String>> {
    let text = read("theory/README.md");
    let rows = text.lines().filter(|l| l.starts_with("| T") || l.starts_with("| [T"));
    rows.map(|l| l.trim_matches('|').split('|').map(|c| c.trim().to_string()).collect()).collect()
}

fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut open = vec![root().join(folder)];
    let mut files = Vec::new();
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    files
}

/// The theorem numbers in a text: "T" and one or two digits, with nothing alphanumeric on either side.
fn cited(text: &str) -> Vec<usize> {
    let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    let numbers = words.filter_map(|w| w.strip_prefix('T')).filter(|d| (1..=2).contains(&d.len()));
    numbers.filter(|d| d.bytes().all(|b| b.is_ascii_digit())).map(|d| d.parse().unwrap()).collect()
}

/// Checks that the finder of citations sees every form in use and nothing else.
#[test]
fn citations_are_found() {
    assert_eq!(cited("(T1), T12: see T03–T5; [T7](x) but not ST1, T1x, T123, T_2, T"), [1, 12, 3, 5, 7]);
}

/// Checks that every page has its number as title and all the headings, once and in order, "Remarks" if there are any after the
/// statement, a statement of at most twelve lines, and three exercises with answers.
#[test]
fn pages_have_all_headings() {
    for page in pages() {
        let title = format!("# T{} ", page.number);
        assert!(page.text.starts_with(&title), "{}: the first line must start with {title:?}", page.file);
        let mut found: Vec<&str> = page.text.lines().filter_map(|l| l.strip_prefix("## ")).collect();
        if found.get(1) == Some(&"Remarks") {
            found.remove(1);
        }
        assert_eq!(found, HEADINGS, "{}", page.file);
        let part = |heading: &str| {
            let from = page.text.split_once(&format!("\n## {heading}\n")).expect("the heading is there").1;
            from.split("\n## ").next().unwrap_or_default().to_string()
        };
        let lines = part("Statement").lines().filter(|l| !l.trim().is_empty()).count();
        assert!(lines <= STATEMENT, "{}: a statement of {lines} lines", page.file);
        let exercises = part("Exercises");
        for k in 1..=3 {
            assert!(exercises.contains(&format!("\n**{k}.** ")), "{}: exercise {k}", page.file);
        }
        assert_eq!(exercises.matches("<details><summary>Answer</summary>\n\n").count(), 3, "{}", page.file);
        assert_eq!(exercises.matches("\n\n</details>").count(), 3, "{}", page.file);
    }
}

/// Checks that every bracketed item of a page is defined at its end as a file that exists and names the item, for a code host, and in
/// `theory.rs`, before the page, as the item itself, for rustdoc; and that no definition is left over.
#[test]
fn links_work_on_a_host_and_in_the_docs() {
    let source = read("src/theory.rs");
    let names = fs::read_dir(root().join("theory")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    for file in names.filter(|n| n.ends_with(".md")) {
        let text = read(format!("theory/{file}"));
        assert!(!text.contains("`crate::"), "{file}: a path of rustdoc is a dead bracket on a code host");
        let defined: Vec<(&str, &str)> =
            text.lines().filter_map(|l| l.strip_prefix("[`")?.split_once("`]: ")).collect();
        let body: String = text.lines().filter(|l| !l.contains("`]: ")).collect::<Vec<_>>().join("\n");
        let used = body.split("[`").skip(1).filter_map(|rest| rest.split_once("`]"));
        for (item, after) in used {
            let known = after.starts_with('(') || defined.iter().any(|(name, _)| *name == item);
            assert!(known, "{file}: [`{item}`] has no definition at the end of the page");
        }
        for (item, path) in defined {
            let name = item.rsplit("::").next().unwrap_or(item);
            let target = read(format!("theory/{path}"));
            assert!(target.contains(name) || path.contains(name), "{file}: {path} does not name {item}");
            assert!(body.contains(&format!("[`{item}`]")), "{file}: the definition of {item} is not used");
            let definition = format!("/// [`{item}`]: crate::{item}\n");
            let module = source.split("pub mod ").find(|part| part.contains(&format!("/{file}\")")));
            assert!(module.is_some_and(|m| m.contains(&definition)), "src/theory.rs: {file} lacks {definition}");
        }
    }
}

/// Checks that the links between pages, figures, documents and sources lead to files that exist.
#[test]
fn links_between_files_lead_somewhere() {
    let mut seen = 0;
    for folder in ["", "theory", "theory/log", "docs"] {
        let names = fs::read_dir(root().join(folder)).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        for file in names.filter(|n| n.ends_with(".md")) {
            let path = Path::new(folder).join(&file);
            let text = read(&path);
            let linked = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#', ' ', '\n']).next());
            let shown = text.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next());
            // what has a dot and no scheme is a file: mathematics has brackets too
            for to in linked.chain(shown).filter(|to| to.contains('.') && !to.contains(':') && !to.contains('\\')) {
                assert!(root().join(folder).join(to).exists(), "{}: {to} does not exist", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 300, "{seen} links");
}

/// Checks that every page is a module of `theory.rs`, so that rustdoc resolves its links.
#[test]
fn pages_have_modules() {
    let source = read("src/theory.rs");
    for page in pages() {
        let module = format!("#[doc = include_str!(\"../theory/{}\")]\npub mod t{:02} {{}}", page.file, page.number);
        assert!(source.contains(&module), "src/theory.rs lacks\n{module}");
    }
}

/// Checks that the ledger has one row per theorem in order, linked to its page, and that nothing without a page is called proved.
#[test]
fn ledger_rows_match_pages() {
    let (rows, pages) = (ledger(), pages());
    assert_eq!(rows.len(), THEOREMS);
    let numbers: Vec<usize> = rows.iter().map(|row| number(row)).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    for (row, number) in rows.iter().zip(numbers) {
        assert_eq!(row.len(), 5, "five cells in {row:?}");
        let page = pages.iter().find(|p| p.number == number);
        let label = page.map_or(format!("T{number}"), |p| format!("[T{number}]({})", p.file));
        assert_eq!(row[0], label, "first cell of the ledger's row {number}");
        let parts = row[4].split("; ").map(|part| part.rsplit(' ').next().unwrap_or_default());
        parts.for_each(|word| assert!(["proved", "cited", "open"].contains(&word), "T{number}: status {:?}", row[4]));
        assert!(page.is_some() || row[4] == "open", "T{number} is called {} but has no page", row[4]);
    }
    assert_eq!(pages.len(), rows.iter().filter(|r| r[0].starts_with('[')).count(), "two pages share a number");
}

/// Checks that no comment in `src/` cites a theorem that has no page.
#[test]
fn comments_cite_existing_theorems() {
    let numbers: Vec<usize> = pages().iter().map(|p| p.number).collect();
    for path in rust_files("src") {
        let text = fs::read_to_string(&path).unwrap();
        for (line, comment) in text.lines().enumerate().filter_map(|(i, l)| Some((i + 1, l.split_once("//")?.1))) {
            for n in cited(comment) {
                assert!(numbers.contains(&n), "{}:{line}: there is no page T{n}", path.display());
            }
        }
    }
}

/// Checks that a test named in the ledger exists, and that every claim of `src/verify/` has a test `tnn_…`.
#[test]
fn claims_have_tests() {
    let sources = |folder| rust_files(folder).iter().map(|p| fs::read_to_string(p).unwrap()).collect::<String>();
    let (tests, claims) = (sources("tests"), sources("src/verify"));
    for row in &ledger() {
        let (number, named) = (number(row), row[3].trim_matches('`'));
        let prefix = format!("fn t{number:02}_");
        if named != "to come" {
            assert!(named.starts_with(&prefix[3..]), "T{number}: the ledger names the test {named:?}");
            assert!(tests.contains(&format!("fn {named}(")), "T{number}: no test {named} in tests/");
        }
        if claims.contains(&format!("\"T{number:02}\"")) {
            assert!(tests.contains(&prefix), "T{number} has a claim but no test {prefix}…");
        }
    }
}

/// Checks that a claim which says that no pair enters asks its budget for none, and that every other one does: the user's pair is
/// neither ignored nor refused for nothing.
#[test]
fn claims_take_the_pairs_that_they_say() {
    let files = rust_files("src/verify");
    for claim in pushforward::verify::registry() {
        let name = claim.id.to_lowercase();
        let own = |p: &&PathBuf| {
            p.to_str().is_some_and(|p| p.contains(&format!("/{name}.")) || p.contains(&format!("/{name}/")))
        };
        let text: String = files.iter().filter(own).map(|p| fs::read_to_string(p).unwrap()).collect();
        let asks = text.contains("budget.draws(") || text.contains("budget.pair");
        assert_eq!(asks, claim.takes != pushforward::verify::Takes::NoPair, "{} says {:?}", claim.id, claim.takes);
    }
}

/// Checks that the registry holds a claim for every theorem whose row names a test, with the page's number.
#[test]
fn tested_theorems_have_claims() {
    let ids: Vec<&str> = pushforward::verify::registry().iter().map(|c| c.id).collect();
    for row in &ledger() {
        let id = format!("T{:02}", number(row));
        assert_eq!(
            row[3] != "to come",
            ids.contains(&id.as_str()),
            "{id}: ledger says {}, registry has {ids:?}",
            row[3]
        );
    }
}

/// The number of a theorem in the first cell of its row: 16 of "[T16](...)".
fn number(row: &[String]) -> usize {
    let digits: String =
        row[0].chars().skip_while(|c| !c.is_ascii_digit()).take_while(|c| c.is_ascii_digit()).collect();
    digits.parse().expect("a row starts with its theorem")
}
