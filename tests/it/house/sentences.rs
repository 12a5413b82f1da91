//! Sentences for people stand in `crates/text` alone. A string of four words or more anywhere else is taken for one, unless it
//! stands where only developers and databases read: documentation, errors, logs, assertions, SQL, tests.

use super::{Source, attributes_of, hold, is_test, production_below};
use syn::buffer::{Cursor, TokenBuffer};
use syn::visit::{self, Visit};

const SEARCHED: &[&str] = &["cli/src", "tray/src", "daemon/src", "crates/core/src", "crates/api/src", "crates/secret/src"];

/// Its answers go to the daemon alone, as typed failures.
const SPEAKS_TO_NO_PERSON: &str = "daemon/src/bin/obnova-helper/";

/// Where even an error's text might reach a person as it is, so that only a typed error may hold some.
const SPEAKS_TO_PEOPLE: &[&str] = &["cli/", "tray/"];

/// Attributes whose text is documentation, technical English of an error, or a developer's reason.
const TECHNICAL_ATTRIBUTES: &[&str] = &["doc", "error", "expect", "deprecated", "must_use"];

/// Macros whose text goes to the log, or to the developer whose assumption failed.
const TECHNICAL_MACROS: &[&str] = &[
    "trace",
    "debug",
    "info",
    "warn",
    "error",
    "event",
    "trace_span",
    "debug_span",
    "info_span",
    "warn_span",
    "error_span",
    "assert",
    "assert_eq",
    "assert_ne",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "panic",
    "unreachable",
];

/// Methods whose text says which assumption failed.
const TECHNICAL_METHODS: &[&str] = &["expect", "expect_err"];

/// Methods and macros whose text becomes an error's.
const ERROR_METHODS: &[&str] = &["map_err", "ok_or", "ok_or_else", "context", "with_context"];
const ERROR_MACROS: &[&str] = &["anyhow", "bail", "ensure"];

const SQL: &[&str] =
    &["ALTER", "BEGIN", "CREATE", "DELETE", "DROP", "INSERT", "PRAGMA", "REPLACE", "SELECT", "UPDATE", "VACUUM", "WITH"];

#[test]
fn people_are_spoken_to_from_one_crate() {
    let sources = SEARCHED.iter().flat_map(|directory| production_below(directory));
    let speaking = sources.filter(|source| !source.path.starts_with(SPEAKS_TO_NO_PERSON));
    let findings: Vec<String> = speaking.flat_map(|source| sentences(&source)).collect();
    hold(&findings, "sentences for people belong in crates/text");
}

#[test]
fn each_hiding_place_is_seen() {
    let found = |text: &str| sentences(&Source::parse("daemon/src/x.rs", text)).len();
    let found_in_cli = |text: &str| sentences(&Source::parse("cli/src/x.rs", text)).len();
    for bad in [
        r#"const S: &str = "Your certificate ends soon.";"#,
        r#"fn f() { write!(out, "Your certificate ends {when} or so"); }"#,
        r##"fn f() { say(r#"Insert the card to finish"#); }"##,
        r#"fn f() { vec![Some("nothing is watched yet")]; }"#,
        r#"fn f() { body(format_args!("Renew now, or do it later", )); }"#,
        r#"struct A { #[arg(long, help = "where the new file goes to")] to: bool }"#,
        r#"#[command(about = "Keeps your certificates always alive")] struct A;"#,
        r#"impl S { fn f() { "the card is not there" } }"#,
        r#"fn f() { match x { _ => "Later is not an option" } }"#,
        r#"fn f() { "Select what you want here" }"#,
        r#"fn f() { tokio::select! { _ = a => b.say("nothing more will happen today") } }"#,
    ] {
        assert_eq!(found(bad), 1, "not seen: {bad}");
    }
    for good in [
        r#"const S: &str = "org.obnova.Daemon1";"#,
        r#"const S: &str = "SELECT id, kind FROM record WHERE id = ?1 ORDER BY id";"#,
        "/// A sentence of documentation for all.\nfn f() {}",
        r#"#[derive(Error)] enum E { #[error("the file is not a certificate")] Not }"#,
        r#"#[expect(clippy::x, reason = "it is needed right here")] fn f() {}"#,
        r#"fn f() { tracing::warn!("the disk is nearly full"); info!(a, "it all began right here"); }"#,
        r#"fn f() { x.expect("a value that is always there"); }"#,
        r#"#[cfg(test)] mod tests { const S: &str = "four words or even more"; }"#,
        r#"fn f() { format!("{} {} {} {} {}", a, b, c, d, e); }"#,
        r#"fn f() { format!("{first} {second} {third} {fourth}"); }"#,
        r#"const S: &str = "only three words";"#,
        r#"fn f() { io::Error::other("the kernel mapped address zero") }"#,
        r#"fn f() { Err(PlaceError::Broken { detail: "the name is not well formed".to_owned() }) }"#,
        r#"fn f() { x.map_err(|_| at(span, "a name has no lower-case letters"))? }"#,
        "constants! { /// The one that means all.\nA = 1; }",
        r#"fn f() { tokio::select! { _ = a => { warn!("a letter came too late"); b.expect("four words or even more") } } }"#,
    ] {
        assert_eq!(found(good), 0, "taken for a sentence: {good}");
    }
    assert_eq!(found(r#"fn f() { Err("the card was not found".into()) }"#), 0);
    assert_eq!(found_in_cli(r#"fn f() { Err("the card was not found".into()) }"#), 1);
    assert_eq!(found(r#"fn f() { bail!("the card was not found") }"#), 0);
    assert_eq!(found_in_cli(r#"fn f() { bail!("the card was not found") }"#), 1);
    assert_eq!(found_in_cli(r#"fn f() { x.ok_or("the card was not found") }"#), 1);
    assert_eq!(found_in_cli(r#"fn f() { Err(CliError::Usage("the card was not found")) }"#), 0);
}

fn sentences(source: &Source) -> Vec<String> {
    let speaks = SPEAKS_TO_PEOPLE.iter().any(|directory| source.path.starts_with(directory));
    let mut search = Search { file: &source.path, speaks, found: Vec::new() };
    search.visit_file(&source.syntax);
    search.found
}

struct Search<'a> {
    file: &'a str,
    speaks: bool,
    found: Vec<String>,
}

impl Search<'_> {
    fn judge(&mut self, text: &str) {
        if is_sentence(text) {
            self.found.push(format!("{}: {text:?}", self.file));
        }
    }

    /// Every string among the tokens of a macro or an attribute, which are not parsed, with the same exceptions.
    fn judge_tokens(&mut self, mut cursor: Cursor) {
        while !cursor.eof() {
            if let Some(after) = after_technical(cursor) {
                cursor = after;
            } else if let Some((inside, _, _, after)) = cursor.any_group() {
                self.judge_tokens(inside);
                cursor = after;
            } else if let Some((literal, after)) = cursor.literal() {
                if let syn::Lit::Str(text) = syn::Lit::new(literal) {
                    self.judge(&text.value());
                }
                cursor = after;
            } else {
                cursor = cursor.token_tree().expect("not at the end").1;
            }
        }
    }
}

/// What follows an attribute, macro or method call of the technical ones, if the cursor stands at one.
fn after_technical(cursor: Cursor) -> Option<Cursor> {
    if let Some((mark, at_group)) = cursor.punct()
        && mark.as_char() == '#'
        && let Some((inside, _, _, after)) = at_group.any_group()
        && let Some((name, _)) = inside.ident()
    {
        return TECHNICAL_ATTRIBUTES.contains(&name.to_string().as_str()).then_some(after);
    }
    let (name, after_name) = cursor.ident()?;
    let name = name.to_string();
    let at_group = match after_name.punct() {
        Some((mark, after)) if mark.as_char() == '!' && TECHNICAL_MACROS.contains(&name.as_str()) => after,
        _ if TECHNICAL_METHODS.contains(&name.as_str()) => after_name,
        _ => return None,
    };
    at_group.any_group().map(|(_, _, _, after)| after)
}

impl<'ast> Visit<'ast> for Search<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_test(attributes_of(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_test(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        self.judge(&text.value());
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if TECHNICAL_ATTRIBUTES.iter().any(|name| attribute.path().is_ident(name)) {
            return;
        }
        match &attribute.meta {
            syn::Meta::List(list) => self.judge_tokens(TokenBuffer::new2(list.tokens.clone()).begin()),
            syn::Meta::NameValue(pair) => self.visit_expr(&pair.value),
            syn::Meta::Path(_) => {}
        }
    }

    fn visit_macro(&mut self, invocation: &'ast syn::Macro) {
        let name = invocation.path.segments.last().expect("a macro has a name").ident.to_string();
        let technical = TECHNICAL_MACROS.contains(&name.as_str()) || ERROR_MACROS.contains(&name.as_str()) && !self.speaks;
        if !technical {
            self.judge_tokens(TokenBuffer::new2(invocation.tokens.clone()).begin());
        }
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        let makes_error = match &*call.func {
            syn::Expr::Path(function) => names_error(&function.path) || function.path.is_ident("Err") && !self.speaks,
            _ => false,
        };
        if !makes_error {
            visit::visit_expr_call(self, call);
        }
    }

    fn visit_expr_struct(&mut self, literal: &'ast syn::ExprStruct) {
        if !names_error(&literal.path) {
            visit::visit_expr_struct(self, literal);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let method = call.method.to_string();
        if TECHNICAL_METHODS.contains(&method.as_str()) || ERROR_METHODS.contains(&method.as_str()) && !self.speaks {
            self.visit_expr(&call.receiver);
        } else {
            visit::visit_expr_method_call(self, call);
        }
    }
}

/// Whether a path makes an error value, as `io::Error::other("…")` does: errors are technical English.
fn names_error(path: &syn::Path) -> bool {
    path.segments.iter().any(|segment| segment.ident.to_string().ends_with("Error"))
}

/// Four words or more, and no SQL. What stands in braces, names with dots, paths and numbers are no words.
fn is_sentence(text: &str) -> bool {
    let mut tokens = text.split_whitespace().peekable();
    if tokens.peek().is_some_and(|first| SQL.contains(first)) {
        return false;
    }
    tokens.filter(|token| is_word(token)).count() >= 4
}

fn is_word(token: &str) -> bool {
    let bare = token.trim_matches(|c: char| c.is_ascii_punctuation() && c != '{' && c != '}');
    bare.chars().any(char::is_alphabetic) && bare.chars().all(|c| c.is_alphabetic() || matches!(c, '-' | '\'' | '’'))
}
