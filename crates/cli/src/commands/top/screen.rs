//! The live view: the same table as `--once`, drawn again at each interval.

use std::time::{Duration, Instant};

use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Row, Table, Wrap};

use super::model::{self, Reading, View};
use crate::client::Client;
use crate::failure::{Failure, Outcome};

/// How long a key may wait to be seen.
const KEYS_EVERY: Duration = Duration::from_millis(50);

/// Rows for the totals, which wrap on a narrow screen.
const HEADLINE_ROWS: u16 = 2;

/// Draws until somebody ends it or the platform goes away.
pub(super) async fn show(client: &Client, first: Reading, interval: Duration) -> Outcome {
    let failed = |error| Failure::new("cannot draw", error);
    let mut terminal = ratatui::try_init().map_err(failed)?;
    let outcome = async {
        let mut former = first;
        let mut view = View::between(&former, &former);
        loop {
            terminal.draw(|frame| draw(frame, &view)).map_err(failed)?;
            if wants_to_end(interval, || terminal.autoresize().is_ok()).await.map_err(failed)? {
                return Ok(());
            }
            let latest = super::read(client).await?;
            view = View::between(&former, &latest);
            former = latest;
        }
    }
    .await;
    ratatui::restore();
    outcome
}

/// Waits for the interval to pass; returns whether a key ended the view.
async fn wants_to_end(
    interval: Duration,
    mut resized: impl FnMut() -> bool,
) -> std::io::Result<bool> {
    let until = Instant::now() + interval;
    while Instant::now() < until {
        while event::poll(Duration::ZERO)? {
            match event::read()? {
                Event::Key(key) if is_end(key.code, key.modifiers) => return Ok(true),
                Event::Resize(..) if resized() => return Ok(false),
                _ => {}
            }
        }
        tokio::time::sleep(KEYS_EVERY.min(until - Instant::now())).await;
    }
    Ok(false)
}

fn is_end(code: KeyCode, modifiers: KeyModifiers) -> bool {
    let is_control = modifiers.contains(KeyModifiers::CONTROL);
    matches!(code, KeyCode::Char('q') | KeyCode::Esc) || (is_control && code == KeyCode::Char('c'))
}

fn draw(frame: &mut Frame<'_>, view: &View) {
    let parts = Layout::vertical([
        Constraint::Length(HEADLINE_ROWS),
        Constraint::Min(1),
        Constraint::Length(1),
    ]);
    let [top, middle, bottom] = parts.areas(frame.area());
    let headline = Paragraph::new(view.headline()).wrap(Wrap { trim: true }).bold();
    frame.render_widget(headline, top);
    let cells: Vec<Vec<String>> = view.functions.iter().map(model::Row::cells).collect();
    let width = |column: usize| {
        let cells = cells.iter().map(|row| row[column].chars().count());
        let widest = cells.chain([model::COLUMNS[column].len()]).max();
        Constraint::Length(u16::try_from(widest.unwrap_or(0)).unwrap_or(u16::MAX))
    };
    let widths: Vec<Constraint> = (0..model::COLUMNS.len()).map(width).collect();
    let rows = cells.iter().zip(&view.functions).map(|(cells, row)| {
        let style = if row.is_troubled() { Style::new().red() } else { Style::new() };
        Row::new(cells.clone()).style(style)
    });
    let header = Row::new(model::COLUMNS).style(Style::new().dim());
    frame.render_widget(Table::new(rows, widths).header(header).column_spacing(3), middle);
    frame.render_widget(Line::from("q ends it").dim(), bottom);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    #[test]
    fn the_screen_shows_the_table_and_keys_end_it() {
        let mut terminal = Terminal::new(TestBackend::new(120, 8)).unwrap();
        let view = model::tests::view();
        terminal.draw(|frame| draw(frame, &view)).unwrap();
        let text = terminal.backend().to_string();
        assert!(text.contains("FUNCTION"), "{text}");
        assert!(text.contains("default/hello"), "{text}");
        assert!(is_end(KeyCode::Char('c'), KeyModifiers::CONTROL));
        assert!(!is_end(KeyCode::Char('c'), KeyModifiers::NONE));
    }
}
