//! Tests of what is sent when.
