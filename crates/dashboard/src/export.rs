//! Tables as CSV and JSON: the same rows as the page, without its end.

use serde_json::{Map, Value};

use crate::cell::{Column, Row};
use crate::text::{LENGTH_MAX, harmless};

/// How a table is written to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Csv,
    Json,
}

impl Format {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Json => "application/json",
        }
    }

    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Csv => ".csv",
            Self::Json => ".json",
        }
    }

    /// What stands before the first row.
    pub(crate) fn head(self, columns: &[Column]) -> String {
        match self {
            Self::Csv => csv_line(exported(columns).map(|(_, column)| column.key.to_owned())),
            Self::Json => "[".to_owned(),
        }
    }

    /// One row; `index` counts from zero.
    pub(crate) fn row(self, columns: &[Column], row: &Row, index: usize) -> String {
        match self {
            Self::Csv => csv_line(exported(columns).map(|(index, _)| {
                row.cells
                    .get(index)
                    .map_or_else(String::new, crate::cell::Cell::plain)
            })),
            Self::Json => {
                let object: Map<String, Value> = exported(columns)
                    .filter_map(|(index, column)| {
                        Some((column.key.to_owned(), row.cells.get(index)?.json()))
                    })
                    .collect();
                let comma = if index == 0 { "\n" } else { ",\n" };
                format!("{comma}{}", Value::Object(object))
            }
        }
    }

    pub(crate) fn foot(self) -> &'static str {
        match self {
            Self::Csv => "",
            Self::Json => "\n]\n",
        }
    }
}

fn exported(columns: &[Column]) -> impl Iterator<Item = (usize, &Column)> {
    columns
        .iter()
        .enumerate()
        .filter(|(_, column)| !column.buttons)
}

fn csv_line(fields: impl Iterator<Item = String>) -> String {
    let fields: Vec<String> = fields.map(|field| csv_field(&field)).collect();
    format!("{}\r\n", fields.join(","))
}

/// Quotes where needed, and keeps spreadsheets from computing what a stranger wrote.
fn csv_field(text: &str) -> String {
    let text = harmless(text, LENGTH_MAX);
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '|', '%'])
        && text.parse::<f64>().is_err();
    let text = if formula { format!("'{text}") } else { text };
    if text.contains([',', '"', '\n', '\r', '\'']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Cell;

    #[test]
    fn a_spreadsheet_computes_nothing() {
        for (field, written) in [
            ("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\""),
            ("+1+1", "\"'+1+1\""),
            ("-2", "-2"),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("-2+cmd|' /C calc'!A0", "\"'-2+cmd|' /C calc'!A0\""),
            ("\u{1b}[1m=1", "\"'=1\""),
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
        ] {
            assert_eq!(csv_field(field), written, "{field}");
        }
    }

    #[test]
    fn both_formats_hold_the_same_rows() {
        let columns = [
            Column::text("name", "Name"),
            Column::buttons(),
            Column::number("restarts", "Restarts"),
        ];
        let row = Row {
            key: "k".into(),
            cells: vec![Cell::text("web"), Cell::Buttons(vec![]), Cell::Number(3)],
        };
        let write = |format: Format| {
            format!(
                "{}{}{}{}",
                format.head(&columns),
                format.row(&columns, &row, 0),
                format.row(&columns, &row, 1),
                format.foot()
            )
        };
        assert_eq!(write(Format::Csv), "name,restarts\r\nweb,3\r\nweb,3\r\n");
        let json: Value = serde_json::from_str(&write(Format::Json)).unwrap();
        assert_eq!(
            json,
            serde_json::json!([{"name": "web", "restarts": 3}, {"name": "web", "restarts": 3}])
        );
    }
}
