//! What README and guides tell people to type is typed here, in order, and answers as it is written.
//!
//! A page is told on a machine of its own: an empty home, a checkout, a
//! network namespace where every port is free. In a block of `console`, lines
//! that start with `$` are typed; what follows is what the command says, with
//! `[..]` for any text and `[...]` for any lines. `# ends with 3` behind a
//! command is the exit code it must have. A block that cannot run has the
//! reason in front of it: `<!-- not run: it needs a git host -->`.

mod block;
mod telling;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use self::block::{Block, blocks};
use self::telling::tell;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page(name: &str) -> Result<String> {
    Ok(std::fs::read_to_string(repository().join(name))?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_story_of_the_readme_goes_as_it_is_written() -> Result<()> {
    tell("README.md", &page("README.md")?).await
}

#[test]
fn every_console_block_is_told_or_says_why_not() -> Result<()> {
    const TOLD: [&str; 1] = ["README.md"];
    let docs = repository().join("docs");
    let mut pages = vec![repository().join("README.md")];
    for folder in ["guides", "concepts", "operations"] {
        let Ok(entries) = std::fs::read_dir(docs.join(folder)) else {
            continue;
        };
        pages.extend(entries.flatten().map(|entry| entry.path()));
    }
    let mut found = 0;
    for path in pages {
        if path.extension().is_none_or(|end| end != "md") {
            continue;
        }
        let name = path.strip_prefix(repository())?.display().to_string();
        for block in blocks(&name, &std::fs::read_to_string(&path)?)? {
            found += 1;
            let told = TOLD.contains(&name.as_str());
            ensure!(
                told || matches!(block, Block::NotRun { .. }),
                "{}: no test tells this page, so the block must say why: `<!-- not run: … -->`",
                block.place()
            );
        }
    }
    ensure!(found > 0, "no page has a console block");
    Ok(())
}
