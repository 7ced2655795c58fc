//! Control as a whole: between a gateway and nodes that only remember what they
//! are told (`life`, and under load `order`), and by its API over HTTP (`api`, `artifacts`, `placement`).

mod api;
mod artifacts;
mod life;
mod order;
mod placement;
mod support;
