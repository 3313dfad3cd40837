//! The order of things: steps, pauses, loops and choices, laid out as instructions.

use super::Compiler;
use crate::line::{Line, width};
use crate::problem::{Fault, Span};
use crate::program::Operation;
use crate::quantity;
use crate::words::Words;

/// More passes than any user makes in one go.
const LOOP_MAX: u64 = 1_000_000;
const WEIGHT_MAX: u64 = 1_000_000;

impl Compiler {
    pub(super) fn flow(&mut self, line: &Line<'_>) -> Result<(), Fault> {
        let word = line.text.split_whitespace().next().unwrap_or_default();
        match word {
            "step" => self.step(line),
            "think" => self.think(line),
            "loop" => self.repeat(line),
            "pick" => self.pick(line),
            _ => {
                let span = Span {
                    width: width(word),
                    ..line.span()
                };
                Err(Fault::new(span, format!("`{word}` is no part of a flow"))
                    .nearest(word, ["step", "think", "loop", "pick"]))
            }
        }
    }

    fn think(&mut self, line: &Line<'_>) -> Result<(), Fault> {
        leaf(line)?;
        let mut words = Words::of(line.text, line.number, line.indent + 1)?;
        words.take("think");
        let token = words.next("a duration")?;
        let (least, most) = token
            .text
            .split_once("..")
            .unwrap_or((&token.text, &token.text));
        let (Some(least), Some(most)) = (quantity::duration(least), quantity::duration(most))
        else {
            return Err(
                Fault::new(token.span, format!("`{}` is not a pause", token.text))
                    .hint("write `think 500ms` or `think 1s..4s`"),
            );
        };
        if least > most {
            return Err(Fault::new(token.span, "the longer pause stands first")
                .hint("write the shorter one first, as in `1s..4s`"));
        }
        self.program.flow.push(Operation::Think { least, most });
        words.finish()
    }

    fn repeat(&mut self, line: &Line<'_>) -> Result<(), Fault> {
        let mut words = Words::of(line.text, line.number, line.indent + 1)?;
        words.take("loop");
        let times = words.some(LOOP_MAX)?;
        words.finish()?;
        filled(line)?;
        let counter = self.program.loops;
        self.program.loops += 1;
        self.program.flow.push(Operation::Repeat {
            counter,
            times: u32::try_from(times).unwrap_or(u32::MAX),
        });
        let start = self.program.flow.len();
        self.block(line);
        self.program.flow.push(Operation::Again { counter, start });
        Ok(())
    }

    fn pick(&mut self, line: &Line<'_>) -> Result<(), Fault> {
        let mut words = Words::of(line.text, line.number, line.indent + 1)?;
        words.take("pick");
        words.finish()?;
        filled(line)?;
        let place = self.program.flow.len();
        self.program.flow.push(Operation::Pick {
            branches: Vec::new(),
        });
        let mut branches = Vec::new();
        let mut ends = Vec::new();
        for branch in &line.children {
            let mut words = Words::of(branch.text, branch.number, branch.indent + 1)?;
            if !words.take("weight") {
                return Err(words
                    .unexpected("`weight N`")
                    .hint("each branch of `pick` is a `weight N` with its steps indented below"));
            }
            let weight = words.some(WEIGHT_MAX)?;
            words.finish()?;
            filled(branch)?;
            branches.push((
                u32::try_from(weight).unwrap_or(u32::MAX),
                self.program.flow.len(),
            ));
            let known = self.visible.len();
            self.block(branch);
            self.visible.truncate(known);
            ends.push(self.program.flow.len());
            self.program.flow.push(Operation::Jump(0));
        }
        let end = self.program.flow.len();
        for jump in ends {
            self.program.flow[jump] = Operation::Jump(end);
        }
        self.program.flow[place] = Operation::Pick { branches };
        Ok(())
    }

    fn block(&mut self, line: &Line<'_>) {
        for child in &line.children {
            self.attempt(|compiler| compiler.flow(child));
        }
    }
}

fn leaf(line: &Line<'_>) -> Result<(), Fault> {
    match line.children.first() {
        None => Ok(()),
        Some(child) => Err(Fault::new(
            child.span(),
            "nothing is indented below this line",
        )),
    }
}

fn filled(line: &Line<'_>) -> Result<(), Fault> {
    if line.children.is_empty() {
        return Err(
            Fault::new(line.span(), "nothing is indented below this line")
                .hint("indent its steps by two blanks"),
        );
    }
    Ok(())
}
