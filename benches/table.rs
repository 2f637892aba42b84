//! The lines of the results: each with its floor, from the same run, and its goal.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

/// What a line must achieve.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// At most this multiple of the floor.
    Times(f64),
    /// Less than this value.
    Most(f64),
    /// Exactly zero; any other value fails the run.
    Nothing,
    /// No goal: for information.
    None,
}

pub(crate) struct Line {
    pub(crate) scenario: &'static str,
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) measured: f64,
    pub(crate) floor: Option<f64>,
    pub(crate) goal: Goal,
}

#[derive(Default)]
pub(crate) struct Table(Vec<Line>);

impl Line {
    fn ratio(&self) -> Option<f64> {
        let floor = self.floor.filter(|floor| *floor > 0.0)?;
        Some(self.measured / floor)
    }

    fn is_met(&self) -> Option<bool> {
        match self.goal {
            Goal::Times(times) => self.ratio().map(|ratio| ratio <= times),
            Goal::Most(most) => Some(self.measured < most),
            Goal::Nothing => Some(self.measured == 0.0),
            Goal::None => None,
        }
    }

    fn goal(&self) -> String {
        match self.goal {
            Goal::Times(times) => format!("<= {times} x"),
            // Rounded to two decimals.
            Goal::Most(most) => format!("< {} {}", (most * 100.0).round() / 100.0, self.unit),
            Goal::Nothing => "0".to_owned(),
            Goal::None => String::new(),
        }
    }

    fn cells(&self) -> [String; 7] {
        let number = |number: f64| {
            let digits = if number.fract() == 0.0 { 0 } else { 3 };
            format!("{number:.digits$} {}", self.unit)
                .trim_end()
                .to_owned()
        };
        let met = self
            .is_met()
            .map_or("", |met| if met { "met" } else { "MISSED" });
        [
            self.scenario.to_owned(),
            self.what.clone(),
            number(self.measured),
            self.floor.map(number).unwrap_or_default(),
            self.ratio()
                .map(|it| format!("{it:.2}"))
                .unwrap_or_default(),
            self.goal(),
            met.to_owned(),
        ]
    }
}

impl Table {
    pub(crate) fn add(&mut self, lines: impl IntoIterator<Item = Line>) {
        self.0.extend(lines);
    }

    /// The table in Markdown, with aligned columns.
    pub(crate) fn text(&self) -> String {
        let head = ["scenario", "what", "measured", "floor", "ratio", "goal", ""];
        let rows: Vec<_> = std::iter::once(head.map(str::to_owned))
            .chain(self.0.iter().map(Line::cells))
            .collect();
        let widths: Vec<usize> = (0..head.len())
            .map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0))
            .collect();
        let mut text = String::new();
        for (number, row) in rows.iter().enumerate() {
            for (cell, width) in row.iter().zip(&widths) {
                // Writing to a String can't fail.
                let _ = write!(text, "| {cell:<width$} ");
            }
            text.push_str("|\n");
            if number == 0 {
                let rules = widths.iter().map(|width| "-".repeat(width + 2));
                let _ = writeln!(text, "|{}|", rules.collect::<Vec<_>>().join("|"));
            }
        }
        text
    }

    /// Writes the table as JSON.
    pub(crate) fn write(&self, path: &Path, about: &Value) {
        let lines = self.0.iter().map(|line| {
            json!({
                "scenario": line.scenario, "what": line.what, "unit": line.unit,
                "measured": line.measured, "floor": line.floor, "ratio": line.ratio(),
                "goal": line.goal(), "met": line.is_met(),
            })
        });
        let all = json!({ "about": about, "lines": lines.collect::<Vec<_>>() });
        std::fs::write(path, format!("{all:#}\n")).expect("the results can be written");
    }

    /// Whether the operator did something where nothing is to be done; with `strict`, whether any goal is
    /// missed.
    pub(crate) fn has_failed(&self, strict: bool) -> bool {
        self.0.iter().any(|line| {
            let counts = strict || matches!(line.goal, Goal::Nothing);
            counts && line.is_met() == Some(false)
        })
    }
}

/// The median; of an even number of values, the higher of the middle two.
pub(crate) fn median(values: &[f64]) -> f64 {
    percentile(values, 50)
}

pub(crate) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let place = values.len() * percent / 100;
    values[place.min(values.len() - 1)]
}
