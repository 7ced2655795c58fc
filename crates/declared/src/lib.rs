//! Declared objects: what people ask for, kept in a store and served by verbs.
//!
//! ```text
//!   HTTP (control/http) --Verb--> Objects --admit--> Resource (a kind)
//!                                    |                  ^ what it means
//!                                    | one transaction  |
//!                                    v                  |
//!                                  Store --events--> followers (control's caches)
//! ```
//!
//! - `key`: names of objects, and where they are in the store;
//! - `resource`: what a kind says of itself: [`Resource`], the [`Kinds`] there are, and
//!   where their objects are: in the store, seen through another kind (a view), or in
//!   memory (live);
//! - `form`: an object as the store holds it, and as people see it;
//! - `write`: the one path of every change: read, change, admit, compare and swap;
//! - `change`: what a request makes of an object: create, update, patch, apply, scale;
//! - `remove`: deletion with preconditions and finalizers;
//! - `list`, `token`: lists in pages that are consistent at one revision;
//! - `watch`: changes since a revision, without a gap;
//! - `follow`: the same for the platform itself, and waiting until it has caught up;
//! - `live`: objects in memory with versions of their own;
//! - `refusal`: errors, as the API words them.
//!
//! What always holds: a change is one transaction, compared with what it was made
//! from; what is answered is on disk; a kind is asked before every write and never
//! after it (what follows from a write follows from the store's events, so that it
//! also follows when somebody else wrote).

mod change;
mod follow;
mod form;
mod key;
mod list;
mod live;
mod refusal;
mod remove;
mod resource;
mod token;
mod watch;
mod write;

pub use change::{Change, Document, Make, WriteOptions};
pub use follow::{Followed, follow};
pub use key::{ObjectKey, key_of, store_key, store_prefix};
pub use list::{ListOptions, Listed, Selection};
pub use live::{Feed, FeedEvent, LiveSource};
pub use refusal::{Outcome, Refusal};
pub use remove::{DeleteOptions, Deleted};
pub use resource::{Admission, Hold, Kinds, Namespaces, Operation, Resource, Source, View};
pub use watch::{Watch, WatchOptions, Watched};
pub use write::{Objects, Written};
