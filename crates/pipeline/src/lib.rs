//! Delivery: the only code that retries, counts and commits.
