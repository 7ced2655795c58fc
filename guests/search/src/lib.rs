//! Searches a text for a word.
//!
//! `GET /?q=WORD&limit=N` searches the book in it, Newton's Opticks;
//! `POST /?q=WORD&limit=N` searches the text that is posted. The answer is
//! `{"query", "matches", "hits": [{"line", "text"}]}`: how often the word occurs
//! as a whole word, whatever its case, and the first `N` lines that hold it.
//!
//! A plain scan and no index: an instance lives for one request, and going once
//! through the book is cheaper than building an index of it.

mod scan;

use kit::{Answer, BodyError, Request};
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

/// The book.
const OPTICKS: &str = include_str!("../../../examples/search/opticks.txt");
/// The longest text that is taken.
const BODY_BYTES_MAX: usize = 4 << 20;
/// The longest word that is looked for.
const QUERY_BYTES_MAX: usize = 100;
/// Hits that are shown when no limit is asked for.
const LIMIT_DEFAULT: usize = 10;
/// Most hits that are shown.
const LIMIT_MAX: usize = 1000;

const USAGE: &str = "GET /?q=WORD&limit=N searches Newton's Opticks; POST a text to search that\n";

struct Search;

wasip2::http::proxy::export!(Search);

impl Guest for Search {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let request = Request::new(request);
        let answer = Answer::new(out);
        match search(request) {
            Ok(json) => answer.send(200, "application/json", json.as_bytes()),
            Err((status, message)) => answer.text(status, &message),
        }
    }
}

/// The answer as JSON, or a status and what is wrong.
fn search(request: Request) -> Result<String, (u16, String)> {
    if !request.is_get() && !request.is_post() {
        return Err((405, USAGE.to_owned()));
    }
    let query = request.query("q").filter(|query| !query.is_empty());
    let query = query.ok_or_else(|| (400, USAGE.to_owned()))?;
    if query.len() > QUERY_BYTES_MAX || !query.chars().all(scan::is_in_word) {
        let message = format!("q must be one word of at most {QUERY_BYTES_MAX} bytes\n");
        return Err((400, message));
    }
    let limit = match request.query("limit") {
        None => LIMIT_DEFAULT,
        Some(text) => match text.parse() {
            Ok(limit) if limit <= LIMIT_MAX => limit,
            _ => return Err((400, format!("limit must be 0 to {LIMIT_MAX}\n"))),
        },
    };
    let found = if request.is_post() {
        scan::scan(&posted_text(request)?, &query, limit)
    } else {
        scan::scan(OPTICKS, &query, limit)
    };
    let json = serde_json::to_string(&found).expect("strings and numbers");
    Ok(json + "\n")
}

fn posted_text(request: Request) -> Result<String, (u16, String)> {
    let body = request.into_body().read_all(BODY_BYTES_MAX).map_err(|error| match error {
        BodyError::TooLong { bytes_max } => {
            (413, format!("the text is longer than {} MiB\n", bytes_max >> 20))
        }
        BodyError::Broken(reason) => (400, format!("the request's body broke off: {reason}\n")),
    })?;
    String::from_utf8(body).map_err(|_| (400, "the text is not UTF-8\n".to_owned()))
}
