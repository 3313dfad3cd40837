//! A template, parsed.

/// A sequence of nodes.
pub(crate) type Body = Vec<Node>;

#[derive(Debug, Clone)]
pub(crate) enum Node {
    Text(String),
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template {
        line: usize,
        name: String,
        argument: Option<Pipe>,
    },
    Break,
    Continue,
}

/// `if`, `with` and `range`: a pipe, what to do, what else.
#[derive(Debug, Clone)]
pub(crate) struct Branch {
    pub(crate) pipe: Pipe,
    pub(crate) body: Body,
    pub(crate) otherwise: Body,
}

/// `$x := a | b c`.
#[derive(Debug, Clone)]
pub(crate) struct Pipe {
    pub(crate) line: usize,
    pub(crate) variables: Vec<String>,
    /// `=` instead of `:=`.
    pub(crate) assigns: bool,
    pub(crate) commands: Vec<Command>,
}

/// A word and its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(crate) words: Vec<Word>,
}

#[derive(Debug, Clone)]
pub(crate) enum Word {
    Dot,
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Field(Vec<String>),
    Variable(String, Vec<String>),
    Function(String),
    Pipe(Box<Pipe>, Vec<String>),
}
