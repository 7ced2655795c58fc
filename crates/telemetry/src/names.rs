//! Every metric's name, in one place. Names follow the Prometheus practices:
//! base units, the unit as suffix; the encoder adds `_total` to counters.

/// Requests by function, status class and start.
pub const GATEWAY_REQUESTS: &str = "gapless_gateway_requests";
/// From a request's head to its answer's last byte, in seconds, by start.
pub const GATEWAY_REQUEST_SECONDS: &str = "gapless_gateway_request_seconds";
/// Time in the queue, in seconds, of requests that waited.
pub const GATEWAY_QUEUE_WAIT_SECONDS: &str = "gapless_gateway_queue_wait_seconds";
/// Requests in the gateway now.
pub const GATEWAY_IN_FLIGHT: &str = "gapless_gateway_in_flight";
/// Requests waiting for a slot now.
pub const GATEWAY_QUEUED: &str = "gapless_gateway_queued";
/// Requests refused or failed, by reason.
pub const GATEWAY_REFUSALS: &str = "gapless_gateway_refusals";
/// Client connections open now.
pub const GATEWAY_CONNECTIONS: &str = "gapless_gateway_connections";
/// Phases of starts, in seconds, by phase and sandbox.
pub const NODE_START_SECONDS: &str = "gapless_node_start_seconds";
/// Starts by sandbox and outcome.
pub const NODE_STARTS: &str = "gapless_node_starts";
/// Instances alive, by sandbox.
pub const NODE_INSTANCES: &str = "gapless_node_instances";
/// Log lines dropped because the writer could not keep up.
pub const NODE_LOG_LINES_DROPPED: &str = "gapless_node_log_lines_dropped";
/// Functions declared.
pub const CONTROL_FUNCTIONS: &str = "gapless_control_functions";
/// Placements by outcome.
pub const CONTROL_PLACEMENTS: &str = "gapless_control_placements";
/// Demand messages from gateways.
pub const CONTROL_DEMANDS: &str = "gapless_control_demands";
/// API requests by method and status.
pub const CONTROL_API_REQUESTS: &str = "gapless_control_api_requests";
/// Records of declared state.
pub const STORE_RECORDS: &str = "gapless_store_records";
/// Bytes of those records, keys and values.
pub const STORE_RECORD_BYTES: &str = "gapless_store_record_bytes";
/// What their values take in memory.
pub const STORE_PACKED_BYTES: &str = "gapless_store_packed_bytes";
/// Changes kept as history, from which watches resume.
pub const STORE_HISTORY_CHANGES: &str = "gapless_store_history_changes";
/// Bytes of that history.
pub const STORE_HISTORY_BYTES: &str = "gapless_store_history_bytes";
/// Transactions that wait for the disk now.
pub const STORE_WAITING_TRANSACTIONS: &str = "gapless_store_waiting_transactions";
/// Bytes of the log's files, without the checkpoint below them.
pub const STORE_LOG_BYTES: &str = "gapless_store_log_bytes";
/// Groups of transactions made durable, by one fsync each.
pub const STORE_SYNCS: &str = "gapless_store_syncs";
/// The last transaction's revision: its increase is the number of transactions.
pub const STORE_REVISION: &str = "gapless_store_revision";
/// Share of a score in the weights that lead, by class, regime and policy.
pub const BALANCE_WEIGHT: &str = "gapless_balance_weight";
/// Estimated gain over the default profile, as a share of the cost, by class and regime.
pub const BALANCE_GAIN: &str = "gapless_balance_gain";
/// Half of that gain's 95% interval.
pub const BALANCE_GAIN_CI95: &str = "gapless_balance_gain_ci95";
/// Instances whose outcome is known, by class, regime and arm.
pub const BALANCE_ARM_PLAYS: &str = "gapless_balance_arm_plays";
/// Share of decisions, by class, regime and arm.
pub const BALANCE_ARM_SHARE: &str = "gapless_balance_arm_share";
/// Returns to the default weights, by reason.
pub const BALANCE_ROLLBACKS: &str = "gapless_balance_rollbacks";
/// 1 for the regime that the cluster is in.
pub const BALANCE_REGIME: &str = "gapless_balance_regime";
