//! The formulas of `theory/` as HTML: the part of TeX that statements and assumptions use, in letters, indices and fractions in a line.

use crate::style::escape;

/// Commands that are one character or a word.
const WORDS: &[(&str, &str)] = &[
    ("lvert", "|"),
    ("rvert", "|"),
    ("Vert", "‖"),
    ("lVert", "‖"),
    ("rVert", "‖"),
    ("mid", " | "),
    ("langle", "⟨"),
    ("rangle", "⟩"),
    ("{", "{"),
    ("}", "}"),
    ("infty", "∞"),
    ("nabla", "∇"),
    ("partial", "∂"),
    ("int", "∫"),
    ("oint", "∮"),
    ("sum", "Σ"),
    ("cdot", " · "),
    ("circ", "∘"),
    ("odot", "⊙"),
    ("in", " ∈ "),
    ("notin", " ∉ "),
    ("le", " ≤ "),
    ("ge", " ≥ "),
    ("ne", " ≠ "),
    ("neq", " ≠ "),
    ("equiv", " ≡ "),
    ("approx", " ≈ "),
    ("sim", " ∼ "),
    ("propto", " ∝ "),
    ("to", " → "),
    ("mapsto", " ↦ "),
    ("iff", " ⇔ "),
    ("supset", " ⊃ "),
    ("cap", " ∩ "),
    ("setminus", " ∖ "),
    ("otimes", "⊗"),
    ("pm", " ± "),
    ("dots", "…"),
    ("#", "#"),
    ("top", "⊤"),
    (",", " "),
    (";", " "),
    (" ", " "),
    ("!", ""),
    ("quad", "  "),
    ("qquad", "   "),
    ("big", ""),
    ("Big", ""),
    ("\\", "; "),
    ("log", " log "),
    ("min", " min "),
    ("max", " max "),
    ("sup", " sup "),
    ("inf", " inf "),
    ("lim", " lim "),
    ("det", " det "),
    ("dim", " dim "),
    ("arg", " arg "),
    ("cosh", " cosh "),
    ("cos", " cos "),
    ("sin", " sin "),
    ("alpha", "α"),
    ("beta", "β"),
    ("gamma", "γ"),
    ("delta", "δ"),
    ("varepsilon", "ε"),
    ("eta", "η"),
    ("theta", "θ"),
    ("kappa", "κ"),
    ("lambda", "λ"),
    ("mu", "μ"),
    ("nu", "ν"),
    ("xi", "ξ"),
    ("pi", "π"),
    ("rho", "ρ"),
    ("varrho", "ϱ"),
    ("sigma", "σ"),
    ("varsigma", "ς"),
    ("tau", "τ"),
    ("varphi", "φ"),
    ("phi", "φ"),
    ("chi", "χ"),
    ("psi", "ψ"),
    ("omega", "ω"),
    ("Theta", "Θ"),
    ("Delta", "Δ"),
    ("Phi", "Φ"),
    ("Omega", "Ω"),
];

/// Commands that put a mark on their argument.
const MARKS: &[(&str, char)] = &[
    ("hat", '\u{302}'),
    ("tilde", '\u{303}'),
    ("bar", '\u{304}'),
    ("overline", '\u{305}'),
    ("underline", '\u{332}'),
    ("dot", '\u{307}'),
];

/// Markdown with formulas, as paragraphs: what stands in a part of a page of `theory/`.
pub fn paragraphs(markdown: &str) -> String {
    let mut out = String::new();
    // formulas on lines of their own come between fences
    for (k, part) in markdown.split("```").enumerate() {
        if k % 2 == 1 {
            let tex = part.trim_start_matches("math");
            out += &format!("<p class=\"formula\">{}</p>\n", formula(tex.trim()));
            continue;
        }
        let filled = part.split("\n\n").map(str::trim).filter(|p| !p.is_empty());
        out.extend(filled.map(block));
    }
    out
}

/// A table, the entries of a list, or one paragraph.
fn block(text: &str) -> String {
    if text.starts_with('|') {
        let cells = |line: &str| {
            line.trim_matches('|').split('|').map(|c| format!("<td>{}</td>", sentence(c.trim()))).collect::<String>()
        };
        let rows = text.lines().filter(|line| !line.starts_with("|---"));
        return format!(
            "<table>{}</table>\n",
            rows.map(|line| format!("<tr>{}</tr>", cells(line))).collect::<String>()
        );
    }
    let begins = |line: &str| {
        let number = line.split_once(". ").is_some_and(|(n, _)| n.parse::<u8>().is_ok());
        number || line.starts_with("- ")
    };
    let mut entries: Vec<String> = Vec::new();
    for line in text.lines() {
        match entries.last_mut() {
            Some(last) if !begins(line) => *last = format!("{last}\n{line}"),
            _ => entries.push(line.to_owned()),
        }
    }
    entries.iter().map(|entry| format!("<p>{}</p>\n", sentence(entry))).collect()
}

/// A paragraph: formulas, words that are bold, in italics or code, links by their text.
pub fn sentence(text: &str) -> String {
    let mut out = String::new();
    for (k, part) in text.split("$`").enumerate() {
        let (tex, words) = if k == 0 { ("", part) } else { part.split_once("`$").unwrap_or((part, "")) };
        out += &formula(tex);
        out += &words_of(words);
    }
    out
}

/// Words between formulas.
fn words_of(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        let (words, link) = before.rsplit_once('[').unwrap_or((before, ""));
        plain += words;
        plain += link;
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    plain += rest;
    let text = escape(&plain.replace(['[', ']', '`'], "").replace('\n', " "));
    // marks of words can span a formula, so each one only opens or closes
    text.replace("**", "").replace('*', "")
}

/// A formula of TeX in a line of HTML. A command that is not known stays as it is.
pub fn formula(tex: &str) -> String {
    let mut at = Cursor { text: tex.chars().collect(), at: 0 };
    let mut out = String::new();
    while at.at < at.text.len() {
        out += &at.atom();
    }
    out
}

struct Cursor {
    text: Vec<char>,
    at: usize,
}

impl Cursor {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    /// One atom as HTML: a character, a group, a command with its arguments, an index.
    fn atom(&mut self) -> String {
        let Some(c) = self.peek() else { return String::new() };
        self.at += 1;
        match c {
            '{' => self.group(),
            '}' => String::new(),
            '_' => format!("<sub>{}</sub>", self.argument()),
            '^' => format!("<sup>{}</sup>", self.argument()),
            '\\' => self.command(),
            '&' | '\n' => " ".into(),
            '-' => "−".into(),
            '*' => "∗".into(),
            c if c.is_ascii_alphabetic() => format!("<i>{c}</i>"),
            c => escape(&c.to_string()),
        }
    }

    /// What stands up to the closing brace.
    fn group(&mut self) -> String {
        let mut out = String::new();
        while let Some(c) = self.peek() {
            if c == '}' {
                self.at += 1;
                break;
            }
            out += &self.atom();
        }
        out
    }

    /// The next atom, without spaces before it.
    fn argument(&mut self) -> String {
        while self.peek() == Some(' ') {
            self.at += 1;
        }
        self.atom()
    }

    /// The letters of the next group, or the next one, as they are.
    fn letters(&mut self) -> String {
        if self.peek() != Some('{') {
            let one = self.peek().map_or(String::new(), String::from);
            self.at += 1;
            return one;
        }
        let from = self.at + 1;
        while self.peek().is_some_and(|c| c != '}') {
            self.at += 1;
        }
        self.at += 1;
        self.text[from.min(self.text.len())..(self.at - 1).min(self.text.len())].iter().collect()
    }

    fn command(&mut self) -> String {
        let from = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_alphabetic()) {
            self.at += 1;
        }
        if self.at == from {
            self.at += 1;
        }
        let name: String = self.text[from..self.at.min(self.text.len())].iter().collect();
        // a space only ends the name
        while name.chars().all(char::is_alphabetic) && self.peek() == Some(' ') {
            self.at += 1;
        }
        if let Some((_, word)) = WORDS.iter().find(|(known, _)| *known == name) {
            return escape(word);
        }
        if let Some((_, mark)) = MARKS.iter().find(|(known, _)| *known == name) {
            let marked = self.argument();
            // the mark goes behind the first letter, inside its italics
            let end = marked.find("</i>").unwrap_or(marked.len());
            return format!("{}{mark}{}", &marked[..end], &marked[end..]);
        }
        match name.as_str() {
            "frac" | "tfrac" | "dfrac" => {
                let (over, under) = (self.argument(), self.argument());
                let within = |part: String| if simple(&part) { part } else { format!("({part})") };
                format!("{}/{}", within(over), within(under))
            }
            "sqrt" => format!("√({})", self.argument()),
            "mathrm" | "operatorname" | "text" | "mathsf" => escape(&self.letters()),
            "mathbf" | "mathbb" => format!("<b>{}</b>", self.argument()),
            "mathcal" | "mathfrak" => self.argument(),
            "begin" | "end" => {
                self.letters();
                String::new()
            }
            _ => format!("\\{}", escape(&name)),
        }
    }
}

/// Whether a part of a fraction needs no parentheses: nothing in it, outside its tags, binds less.
fn simple(html: &str) -> bool {
    html.split('<').all(|part| !part.rsplit('>').next().unwrap_or(part).contains(['+', '−', ' ', '/']))
}
