//! What people see: the only place that prints.
//!
//! Results go to standard output; progress goes to standard error, as one moving line on a
//! terminal and as plain lines elsewhere.

use std::cell::Cell;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a step that takes long says so where there is no terminal.
const REMINDER: Duration = Duration::from_secs(30);

/// Prints a line of a result.
#[expect(clippy::print_stdout, reason = "this is where a command's results are printed")]
pub(crate) fn line(text: &str) {
    println!("{text}");
}

/// Prints a line about what is going on.
pub(crate) fn progress(text: &str) {
    eprintln!("{text}");
}

/// Prints why a command failed: the error, then each cause.
pub(crate) fn error(error: &anyhow::Error) {
    let mut causes = error.chain();
    if let Some(first) = causes.next() {
        eprintln!("{} {first}", Colour::Red.paint("error:"));
    }
    for cause in causes {
        eprintln!("  because {cause}");
    }
}

/// What a line says about something that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// It went well.
    Good,
    /// It did not.
    Bad,
    /// It was not done.
    Skipped,
}

impl Mark {
    /// The sign, which also tells without colour.
    pub(crate) fn sign(self) -> String {
        match self {
            Self::Good => Colour::Green.paint("✓"),
            Self::Bad => Colour::Red.paint("✗"),
            Self::Skipped => Colour::Dim.paint("–"),
        }
    }
}

/// How text stands out, on a terminal.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Colour {
    Red,
    Green,
    Bold,
    Dim,
}

impl Colour {
    /// Returns the text in this colour, or as it is where nobody would see it.
    pub(crate) fn paint(self, text: &str) -> String {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        if !wanted || !std::io::stdout().is_terminal() || !std::io::stderr().is_terminal() {
            return text.to_owned();
        }
        let code = match self {
            Self::Red => 31,
            Self::Green => 32,
            Self::Bold => 1,
            Self::Dim => 2,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Something that takes its time.
#[derive(Debug)]
pub(crate) struct Step {
    what: String,
    started: Instant,
    bar: Option<ProgressBar>,
    reminded: Cell<Instant>,
}

impl Step {
    /// Begins a step.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        let (what, started) = (what.into(), Instant::now());
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} {prefix}  {elapsed}  {wide_msg:.dim}")
                .expect("the template is well-formed");
            let bar = ProgressBar::new_spinner().with_style(style).with_prefix(what.clone());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { what, started, bar, reminded: Cell::new(started) }
    }

    /// Says what the step does now.
    pub(crate) fn detail(&self, text: &str) {
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None if self.reminded.get().elapsed() >= REMINDER => {
                self.reminded.set(Instant::now());
                progress(&format!("… {}  {}  {text}", self.what, seconds(self.started.elapsed())));
            }
            None => {}
        }
    }

    /// Prints a line of the result while the step goes on.
    pub(crate) fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| line(text)),
            None => line(text),
        }
    }

    /// Ends the step without a word, and returns how long it took.
    pub(crate) fn clear(self) -> Duration {
        self.started.elapsed()
    }

    /// Ends the step with a line.
    pub(crate) fn end(self, mark: Mark, result: &str) {
        let mut told = format!("{} {}", mark.sign(), self.what);
        if !result.is_empty() {
            told.push_str(": ");
            told.push_str(result);
        }
        let time = Colour::Dim.paint(&seconds(self.started.elapsed()));
        // The moving line has to go first.
        drop(self);
        progress(&format!("{told}  {time}"));
    }

    /// Ends a step that went well.
    pub(crate) fn done(self) {
        self.end(Mark::Good, "");
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A time as people say it.
pub(crate) fn seconds(time: Duration) -> String {
    let total = time.as_secs();
    match total {
        0..10 => format!("{:.2} s", time.as_secs_f64()),
        10..60 => format!("{:.1} s", time.as_secs_f64()),
        _ => format!("{} min {:02} s", total / 60, total % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        for (millis, text) in [(4, "0.00 s"), (1_234, "1.23 s"), (12_340, "12.3 s"), (61_000, "1 min 01 s")] {
            assert_eq!(seconds(Duration::from_millis(millis)), text);
        }
    }
}
