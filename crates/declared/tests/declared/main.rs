//! Declared objects of fake kinds, over the embedded store in a temporary folder.

mod changes;
mod lists;
mod live;
mod removal;
mod watches;
mod world;
