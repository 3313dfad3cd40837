//! Rows of data: CSV (RFC 4180) or a JSON list of objects, as columns by name.

use serde_json::Value;

use crate::program::Format;

/// A table: names of columns and rows of texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// Why data cannot be read; `line` counts from one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataFault {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) message: String,
}

pub(crate) fn read(format: Format, text: &str) -> Result<Table, DataFault> {
    match format {
        Format::Csv => csv(text),
        Format::Json => json(text),
    }
}

fn csv(text: &str) -> Result<Table, DataFault> {
    let mut records = records(text.strip_prefix('\u{feff}').unwrap_or(text))?.into_iter();
    let Some((_, columns)) = records.next() else {
        return Err(DataFault {
            line: 1,
            column: 1,
            message: "the file has no header line".to_owned(),
        });
    };
    let mut rows = Vec::new();
    for (line, row) in records {
        if row.len() != columns.len() {
            return Err(DataFault {
                line,
                column: 1,
                message: format!(
                    "this row has {} values, the header has {}",
                    row.len(),
                    columns.len()
                ),
            });
        }
        rows.push(row);
    }
    Ok(Table { columns, rows })
}

/// Splits into records, each with the line it starts in.
fn records(text: &str) -> Result<Vec<(usize, Vec<String>)>, DataFault> {
    let mut records = Vec::new();
    let mut record = Vec::new();
    let mut field = String::new();
    let (mut line, mut column) = (1, 0);
    let mut start = 1;
    let mut letters = text.chars().peekable();
    let mut open: Option<(usize, usize)> = None;
    let mut quoted = false;
    while let Some(letter) = letters.next() {
        column += 1;
        match (letter, open.is_some()) {
            ('"', true) if letters.peek() == Some(&'"') => {
                letters.next();
                column += 1;
                field.push('"');
            }
            ('"', true) => open = None,
            ('"', false) if field.is_empty() && !quoted => {
                open = Some((line, column));
                quoted = true;
            }
            ('"', false) => {
                return Err(DataFault {
                    line,
                    column,
                    message: "a quote inside a value; put the value in quotes and double it"
                        .to_owned(),
                });
            }
            (',', false) => {
                record.push(std::mem::take(&mut field));
                quoted = false;
            }
            ('\r', false) if letters.peek() == Some(&'\n') => {}
            ('\n', inside) => {
                (line, column) = (line + 1, 0);
                if inside {
                    field.push('\n');
                    continue;
                }
                if !(record.is_empty() && field.is_empty() && !quoted) {
                    record.push(std::mem::take(&mut field));
                    records.push((start, std::mem::take(&mut record)));
                }
                quoted = false;
                start = line;
            }
            (letter, _) => field.push(letter),
        }
    }
    if let Some((line, column)) = open {
        return Err(DataFault {
            line,
            column,
            message: "this quote does not end".to_owned(),
        });
    }
    if !record.is_empty() || !field.is_empty() || quoted {
        record.push(field);
        records.push((start, record));
    }
    Ok(records)
}

fn json(text: &str) -> Result<Table, DataFault> {
    let value: Value = serde_json::from_str(text).map_err(|error| DataFault {
        line: error.line(),
        column: error.column(),
        message: "this is not JSON".to_owned(),
    })?;
    let fault = |message: String| DataFault {
        line: 1,
        column: 1,
        message,
    };
    let Value::Array(items) = value else {
        return Err(fault("the file is not a list of objects".to_owned()));
    };
    let mut columns: Vec<String> = Vec::new();
    for (number, item) in items.iter().enumerate() {
        let Value::Object(fields) = item else {
            return Err(fault(format!("item {number} is not an object")));
        };
        for name in fields.keys() {
            if !columns.contains(name) {
                columns.push(name.clone());
            }
        }
    }
    let mut rows = Vec::new();
    for (number, item) in items.iter().enumerate() {
        let row: Option<Vec<String>> = columns
            .iter()
            .map(|name| item.get(name).map(spelled))
            .collect();
        rows.push(row.ok_or_else(|| {
            fault(format!(
                "item {number} lacks a field that another has; every item has the same"
            ))
        })?);
    }
    Ok(Table { columns, rows })
}

/// Writes a JSON value the way it is put into a text: strings without quotes.
pub(crate) fn spelled(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_commas_and_line_breaks_are_read() {
        let table = read(Format::Csv, "a,b\r\n1,\"x,\"\"y\"\"\nz\"\n\n,\n").unwrap();
        assert_eq!(table.columns, ["a", "b"]);
        assert_eq!(table.rows, [vec!["1", "x,\"y\"\nz"], vec!["", ""]]);
    }

    #[test]
    fn a_wrong_row_is_named_with_its_line() {
        for (text, line, column) in [
            ("", 1, 1),
            ("a,b\n1\n", 2, 1),
            ("a\n\"x\n", 2, 1),
            ("a\nx\"y\n", 2, 2),
        ] {
            let fault = read(Format::Csv, text).unwrap_err();
            assert_eq!((fault.line, fault.column), (line, column), "{text:?}");
        }
    }

    #[test]
    fn json_objects_become_rows() {
        let table = read(Format::Json, r#"[{"a":"x","b":1},{"b":2,"a":"y"}]"#).unwrap();
        assert_eq!(table.columns, ["a", "b"]);
        assert_eq!(table.rows, [["x", "1"], ["y", "2"]]);
        for wrong in ["{}", "[1]", "[{\"a\":1},{}]", "[", ""] {
            assert!(read(Format::Json, wrong).is_err(), "{wrong}");
        }
    }
}
