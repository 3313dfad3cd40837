//! When the program is called `shuttle`: that program's words, in ours.
//!
//! Scripts of plans call `shuttle get` and `shuttle template`; they find this
//! program under that name, and what they write means the same here.

/// Commands of shuttle's that are refused, each with why.
const REFUSED: [(&str, &str); 3] = [
    (
        "config",
        "it would print the whole environment, secrets included",
    ),
    ("git-plan", "plans are kept by content, without a checkout"),
    ("telemetry", "nothing is recorded"),
];

/// Returns the words as `foreshore` wants them, or why they are refused.
pub(crate) fn translate(words: &[String]) -> Result<Vec<String>, String> {
    let mut translated = vec!["foreshore".to_owned()];
    let mut project: Vec<String> = Vec::new();
    let mut words = words.iter().skip(1).cloned().peekable();
    let mut command: Option<String> = None;
    let mut rest: Vec<String> = Vec::new();
    let mut script = false;
    while let Some(word) = words.next() {
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) if flag.starts_with('-') => {
                (flag.to_owned(), Some(value.to_owned()))
            }
            _ => (word.clone(), None),
        };
        // Behind a script's name all words are the script's.
        if script {
            rest.push(word);
            continue;
        }
        let mut take = || {
            value
                .clone()
                .or_else(|| words.next())
                .ok_or_else(|| format!("{flag} needs a value"))
        };
        match (flag.as_str(), command.as_deref()) {
            ("-p" | "--project", _) => project.extend(["-C".to_owned(), take()?]),
            ("--plan", _) => project.extend(["--plan".to_owned(), take()?]),
            // Plans are fetched when they are asked for, never by the way.
            ("--skip-pull" | "-c" | "--clean" | "--interactive" | "--validate", _) => {}
            ("-v" | "--verbose", _) => project.push("-v".to_owned()),
            ("-o" | "--stdout", Some("has")) => rest.push("--stdout".to_owned()),
            ("-o" | "--output", Some("template")) => {
                rest.extend(["--output-file".to_owned(), take()?]);
            }
            ("--version", None) => return Ok(vec!["foreshore".to_owned(), "--version".to_owned()]),
            (_, None) if !word.starts_with('-') => command = Some(word),
            (_, Some("run")) if !word.starts_with('-') => {
                script = true;
                rest.extend([word, "--".to_owned()]);
            }
            _ => rest.push(word),
        }
    }
    let Some(command) = command else {
        translated.extend(rest);
        return Ok(translated);
    };
    if let Some((name, why)) = REFUSED.iter().find(|(name, _)| *name == command) {
        return Err(format!("`shuttle {name}` is not supported: {why}"));
    }
    match command.as_str() {
        "documentation" => translated.push("docs".to_owned()),
        "completion" => translated.push("completions".to_owned()),
        "version" => return Ok(vec!["foreshore".to_owned(), "--version".to_owned()]),
        _ => translated.push(command),
    }
    translated.extend(project);
    translated.extend(rest);
    Ok(translated)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(words: &[&str]) -> Result<String, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        translate(&words).map(|words| words.join(" "))
    }

    #[test]
    fn what_scripts_write_means_the_same() {
        for (words, expected) in [
            (
                &["shuttle", "get", "docker.image"][..],
                "foreshore get docker.image",
            ),
            (
                &["shuttle", "-p", "a", "--skip-pull", "get", "x"],
                "foreshore get -C a x",
            ),
            (&["shuttle", "has", "-o", "x"], "foreshore has --stdout x"),
            (
                &[
                    "shuttle",
                    "template",
                    "-o",
                    "Dockerfile",
                    "Dockerfile.tmpl",
                    "A=1",
                ],
                "foreshore template --output-file Dockerfile Dockerfile.tmpl A=1",
            ),
            (
                &[
                    "shuttle",
                    "--plan=#main",
                    "run",
                    "build",
                    "--plan",
                    "x",
                    "-o",
                ],
                "foreshore run --plan #main build -- --plan x -o",
            ),
            (
                &["shuttle", "run", "--validate=false", "build", "tag=1"],
                "foreshore run build -- tag=1",
            ),
            (&["shuttle", "documentation"], "foreshore docs"),
            (&["shuttle", "version"], "foreshore --version"),
        ] {
            assert_eq!(translated(words).unwrap(), expected);
        }
    }

    #[test]
    fn what_would_leak_or_has_no_meaning_is_refused_by_name() {
        assert!(
            translated(&["shuttle", "config"])
                .unwrap_err()
                .contains("secrets included")
        );
        assert!(
            translated(&["shuttle", "-p"])
                .unwrap_err()
                .contains("needs a value")
        );
    }
}
