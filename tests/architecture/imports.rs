//! Finds the modules that each file of `src` imports, as Rust resolves names: use declarations, paths within
//! the code, and re-exports. Imports of tests are left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};
use syn::{
    Attribute, Expr, Item, ItemMod, ItemUse, Meta, Stmt, UseTree, Visibility,
    visit::{self, Visit},
};

/// A source file.
pub struct File {
    /// The file's path within the crate: `core::protocol::decide`.
    pub module: String,
    /// The file's path below `src`.
    pub path: PathBuf,
    /// The modules that the file imports, without the file's own module. Empty if only tests compile the
    /// file.
    pub imports: BTreeSet<String>,
    /// The file's code without comments.
    pub code: String,
}

/// A path within the crate, or a name in it.
type Names = Vec<String>;

/// The content of one file, before the paths are resolved.
struct ParsedFile {
    path: PathBuf,
    /// Absolute paths within the crate.
    paths: BTreeSet<Names>,
    /// Re-exports: the exported name, and the absolute path.
    passed_on: BTreeMap<String, Names>,
    code: String,
}

/// All source files.
///
/// # Panics
/// If a file can't be read.
pub fn files() -> Vec<File> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut parsed = BTreeMap::new();
    for root in ["lib.rs", "main.rs", "plugin.rs"] {
        let module = root.trim_end_matches(".rs").to_owned();
        read(&src, Path::new(root), &[], Some(module), false, &mut parsed);
    }
    assert!(parsed.len() > 30, "where is the code?");
    let file = |(module, file): (&Names, &ParsedFile)| File {
        module: module.join("::"),
        path: file.path.clone(),
        imports: file
            .paths
            .iter()
            .filter_map(|path| resolve(&parsed, path, 0))
            .filter(|import| import != module)
            .map(|import| import.join("::"))
            .collect(),
        code: file.code.clone(),
    };
    parsed.iter().map(file).collect()
}

/// Reads a file, and the files of the modules that the file declares.
fn read(
    src: &Path,
    path: &Path,
    module: &[String],
    name: Option<String>,
    is_for_tests: bool,
    all: &mut BTreeMap<Names, ParsedFile>,
) {
    let text = fs::read_to_string(src.join(path)).expect("a source file");
    let file = syn::parse_file(&text);
    let mut file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let declared = |item: &Item| match item {
        Item::Mod(ItemMod {
            ident,
            attrs,
            content: None,
            ..
        }) => Some((ident.to_string(), is_for_tests || are_for_tests(attrs))),
        _ => None,
    };
    let declared: Vec<_> = file.items.iter().filter_map(declared).collect();
    file.items.retain(|item| !are_for_tests(attributes(item)));
    let mut reader = Reader {
        here: module.to_vec(),
        declared: declared.iter().map(|(name, _)| name.clone()).collect(),
        paths: BTreeSet::new(),
        passed_on: BTreeMap::new(),
    };
    if !is_for_tests {
        reader.visit_file(&file);
    }
    let folder = match path.file_name().and_then(|name| name.to_str()) {
        Some("lib.rs" | "main.rs" | "plugin.rs" | "mod.rs") => path.with_file_name(""),
        _ => path.with_extension(""),
    };
    for (name, is_for_tests) in declared {
        let beside = folder.join(format!("{name}.rs"));
        let within = folder.join(&name).join("mod.rs");
        let path = if src.join(&beside).exists() {
            beside
        } else {
            within
        };
        let module = [module, &[name]].concat();
        read(src, &path, &module, None, is_for_tests, all);
    }
    let parsed = ParsedFile {
        path: path.to_owned(),
        paths: reader.paths,
        passed_on: reader.passed_on,
        code: without_comments(&text),
    };
    all.insert(name.map_or(module.to_vec(), |name| vec![name]), parsed);
}

/// The module that defines the name of a path, not a module that only exports the name again.
fn resolve(all: &BTreeMap<Names, ParsedFile>, path: &[String], depth: u32) -> Option<Names> {
    assert!(depth < 10, "{path:?} is passed on in a circle");
    let longest = (1..=path.len())
        .rev()
        .find(|n| all.contains_key(&path[..*n]))?;
    let module = &path[..longest];
    let passed_on = path
        .get(longest)
        .and_then(|name| all[module].passed_on.get(name));
    match passed_on {
        Some(origin) => resolve(all, &[origin, &path[longest + 1..]].concat(), depth + 1),
        None => Some(module.to_vec()),
    }
}

fn without_comments(text: &str) -> String {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

fn are_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string().contains("test"),
        Meta::Path(_) | Meta::NameValue(_) => false,
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(it) => &it.attrs,
        Item::Enum(it) => &it.attrs,
        Item::Fn(it) => &it.attrs,
        Item::Impl(it) => &it.attrs,
        Item::Mod(it) => &it.attrs,
        Item::Static(it) => &it.attrs,
        Item::Struct(it) => &it.attrs,
        Item::Trait(it) => &it.attrs,
        Item::Type(it) => &it.attrs,
        Item::Use(it) => &it.attrs,
        _ => &[],
    }
}

struct Reader {
    here: Names,
    /// The modules that the file declares.
    declared: BTreeSet<String>,
    paths: BTreeSet<Names>,
    passed_on: BTreeMap<String, Names>,
}

impl Reader {
    /// An absolute path. None if the path leads out of the crate, or to a name already in scope.
    fn absolute(&self, path: &[String]) -> Option<Names> {
        let mut base = self.here.clone();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" | "cognito_password_operator" => return Some(path[1..].to_vec()),
            "self" => rest = &path[1..],
            "super" => {}
            _ => return None,
        }
        while let Some((first, others)) = rest.split_first()
            && first == "super"
        {
            base.pop();
            rest = others;
        }
        Some([&base, rest].concat())
    }

    fn tree(&mut self, tree: &UseTree, before: &[String], is_passed_on: bool) {
        match tree {
            UseTree::Path(path) => {
                let before = [before, &[path.ident.to_string()]].concat();
                self.tree(&path.tree, &before, is_passed_on);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(tree, before, is_passed_on);
                }
            }
            UseTree::Name(name) => {
                let mut path = before.to_vec();
                if name.ident != "self" {
                    path.push(name.ident.to_string());
                }
                let as_name = path.last().cloned();
                self.used(&path, as_name, is_passed_on);
            }
            UseTree::Rename(rename) => {
                let path = [before, &[rename.ident.to_string()]].concat();
                self.used(&path, Some(rename.rename.to_string()), is_passed_on);
            }
            UseTree::Glob(_) => self.used(before, None, false),
        }
    }

    fn used(&mut self, path: &[String], as_name: Option<String>, is_passed_on: bool) {
        // `use child::Name` of a module declared here.
        let child = [&self.here, path].concat();
        let is_declared = path.first().is_some_and(|it| self.declared.contains(it));
        let absolute = self.absolute(path).or_else(|| is_declared.then_some(child));
        let Some(absolute) = absolute else { return };
        if let (true, Some(name)) = (is_passed_on, as_name) {
            self.passed_on.insert(name, absolute.clone());
        }
        self.paths.insert(absolute);
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        let attributes: &[Attribute] = match statement {
            Stmt::Expr(Expr::Call(it), _) => &it.attrs,
            Stmt::Expr(Expr::ForLoop(it), _) => &it.attrs,
            Stmt::Expr(Expr::If(it), _) => &it.attrs,
            Stmt::Local(local) => &local.attrs,
            Stmt::Item(_) | Stmt::Expr(..) | Stmt::Macro(_) => &[],
        };
        if !are_for_tests(attributes) {
            visit::visit_stmt(self, statement);
        }
    }

    /// The content of a macro isn't parsed: any text in the form of a path counts.
    fn visit_macro(&mut self, macro_: &'ast syn::Macro) {
        let text = macro_.tokens.to_string().replace(" :: ", "::");
        for word in text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':') {
            let names: Names = word.split("::").map(str::to_owned).collect();
            if names.len() > 1 {
                self.used(&names, None, false);
            }
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let is_passed_on = !matches!(item.vis, Visibility::Inherited);
        self.tree(&item.tree, &[], is_passed_on);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Names = path
            .segments
            .iter()
            .map(|it| it.ident.to_string())
            .collect();
        if names.len() > 1 {
            self.used(&names, None, false);
        }
        visit::visit_path(self, path);
    }
}

#[test]
fn imports_are_read_as_rust_reads_them() {
    let code = "use crate::{\n api::{A, b::C}, core::x,\n};\nuse super::d;\nuse inner::E;\nfn f() { crate::cognito::g(); #[cfg(test)] crate::h(); select! { () = inner::f() => crate::core::y } }\nmod inner;";
    let file = syn::parse_file(code).expect("code");
    let mut reader = Reader {
        here: vec!["ops".to_owned(), "log".to_owned()],
        declared: BTreeSet::from(["inner".to_owned()]),
        paths: BTreeSet::new(),
        passed_on: BTreeMap::new(),
    };
    reader.visit_file(&file);
    let paths: Vec<_> = reader.paths.iter().map(|path| path.join("::")).collect();
    assert_eq!(
        paths,
        [
            "api::A",
            "api::b::C",
            "cognito::g",
            "core::x",
            "core::y",
            "ops::d",
            "ops::log::inner::E",
            "ops::log::inner::f",
        ]
    );
}
