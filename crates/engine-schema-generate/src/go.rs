//! What the public Go types declare in their field tags: JSON name, whether an
//! empty value is left out, protobuf number. Only tags and type expressions are
//! read; comments and code are not.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::go_text;

/// A Go type expression; names are full, in OpenAPI spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GoType {
    Builtin(String),
    Named(String),
    Pointer(Box<Self>),
    List(Box<Self>),
    Map(Box<Self>, Box<Self>),
}

/// One field of a Go struct.
#[derive(Debug, Clone)]
pub(crate) struct GoField {
    /// JSON name; `None` for an inlined struct.
    pub(crate) json: Option<String>,
    pub(crate) omit_empty: bool,
    pub(crate) omit_zero: bool,
    /// Protobuf wire word and number, where the field is on the wire.
    pub(crate) proto: Option<(String, u32)>,
    pub(crate) go_type: GoType,
    /// Name of the inlined struct the field came with.
    pub(crate) inlined: Option<String>,
}

/// What a type name stands for.
#[derive(Debug, Clone)]
pub(crate) enum Declaration {
    Struct(Vec<GoField>),
    Alias(GoType),
}

/// All declarations of the packages the API consists of.
#[derive(Debug)]
pub(crate) struct Packages {
    declarations: BTreeMap<String, Declaration>,
}

impl Packages {
    /// Reads the packages below the module directory `modules`.
    pub(crate) fn read(modules: &Path) -> Result<Self> {
        let mut found = Self {
            declarations: BTreeMap::new(),
        };
        let api = module(modules, "api")?;
        for group in directories(&api)? {
            for version in directories(&group)? {
                let package = format!("k8s.io/api/{}/{}", last(&group), last(&version));
                found.read_package(&version, &package)?;
            }
        }
        let machinery = module(modules, "apimachinery")?;
        for path in [
            "pkg/apis/meta/v1",
            "pkg/runtime",
            "pkg/api/resource",
            "pkg/util/intstr",
            "pkg/types",
        ] {
            found.read_package(
                &machinery.join(path),
                &format!("k8s.io/apimachinery/{path}"),
            )?;
        }
        let extensions = module(modules, "apiextensions-apiserver")?;
        let path = "pkg/apis/apiextensions/v1";
        found.read_package(
            &extensions.join(path),
            &format!("k8s.io/apiextensions-apiserver/{path}"),
        )?;
        Ok(found)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Declaration> {
        self.declarations.get(name)
    }

    /// Follows aliases until a struct, list, map, pointer or builtin is reached.
    pub(crate) fn resolve<'a>(&'a self, go_type: &'a GoType) -> Resolved<'a> {
        match go_type {
            GoType::Named(name) => match self.get(name) {
                Some(Declaration::Struct(_)) => Resolved::Struct(name),
                Some(Declaration::Alias(inner)) => self.resolve(inner),
                None => Resolved::Unknown(name),
            },
            other => Resolved::Plain(other),
        }
    }

    fn read_package(&mut self, directory: &Path, package: &str) -> Result<()> {
        let mut files: Vec<PathBuf> = fs::read_dir(directory)
            .with_context(|| format!("list `{}`", directory.display()))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<std::io::Result<_>>()?;
        files.sort();
        for file in files {
            let name = last(&file);
            let skip =
                name.ends_with("_test.go") || name.starts_with("zz_") || name.contains("generated");
            if skip || file.extension().is_none_or(|extension| extension != "go") {
                continue;
            }
            let text =
                fs::read_to_string(&file).with_context(|| format!("read `{}`", file.display()))?;
            self.declarations
                .extend(go_text::declarations(&text, package));
        }
        Ok(())
    }
}

/// A type expression with aliases followed.
#[derive(Debug)]
pub(crate) enum Resolved<'a> {
    Struct(&'a str),
    Plain(&'a GoType),
    Unknown(&'a str),
}

fn module(modules: &Path, name: &str) -> Result<PathBuf> {
    let prefix = format!("{name}@");
    let mut found: Vec<PathBuf> = directories(&modules.join("k8s.io"))?
        .into_iter()
        .filter(|path| last(path).starts_with(&prefix))
        .collect();
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => bail!("no module `k8s.io/{name}` in `{}`", modules.display()),
        _ => bail!(
            "several versions of module `k8s.io/{name}` in `{}`",
            modules.display()
        ),
    }
}

fn directories(path: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).with_context(|| format!("list `{}`", path.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn last(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}
