//! Whose fault a failure is, and the closed list of reasons a request can be
//! refused or fail for. The gateway turns a [`Reason`] into a status, the
//! `x-gapless-reason` header and the JSON body, in one place.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who has to change something for the failure to go away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// Whoever sent the request.
    Caller,
    /// The function's code or configuration.
    Function,
    /// gapless, or the machines it runs on.
    Platform,
    /// Something the function calls.
    Dependency,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $fault:ident;)*) => {
        /// Why a request was refused or failed. The text form is stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason, in the order of this list.
            pub const ALL: &[Reason] = &[$(Reason::$name),*];

            /// The stable text, as in `x-gapless-reason` and in metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(Reason::$name => $text,)* }
            }

            /// Whose fault it is.
            pub const fn fault(self) -> Fault {
                match self { $(Reason::$name => Fault::$fault,)* }
            }
        }
    };
}

reasons! {
    /// No function answers to this host and path.
    NoSuchFunction = "no-such-function", Caller;
    /// The function is there, but has no such tag.
    NoSuchTag = "no-such-tag", Caller;
    /// The request is not valid HTTP for this platform.
    BadRequest = "bad-request", Caller;
    /// The function's queue is full.
    QueueFull = "queue-full", Caller;
    /// The request waited in the queue as long as the function allows.
    QueueTimeout = "queue-timeout", Platform;
    /// The gateway carries as many requests as it may.
    GatewayFull = "gateway-full", Platform;
    /// The gateway or platform is shutting down.
    Draining = "draining", Platform;
    /// No node has room for another instance.
    NoCapacity = "no-capacity", Platform;
    /// The function is deployed but not ready to run (still compiling, or refused).
    NotReady = "not-ready", Function;
    /// The function's instances fail to start.
    StartFailed = "start-failed", Function;
    /// The function did not answer within its timeout.
    Timeout = "timeout", Function;
    /// The instance died while it served the request.
    InstanceDied = "instance-died", Function;
    /// The instance's answer is not valid HTTP.
    BadResponse = "bad-response", Function;
    /// The function was deleted or replaced while the request waited.
    FunctionGone = "function-gone", Caller;
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_forms_agree() {
        for reason in Reason::ALL {
            let json = serde_json::to_string(reason).unwrap();
            assert_eq!(json, format!("\"{reason}\""));
        }
    }
}
