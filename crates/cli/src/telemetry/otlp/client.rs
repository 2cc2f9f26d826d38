//! One request to the collector, and what its answer means.
//!
//! Owns the connection, TLS, headers and time limits. Must not know what is in a request, nor try again.
//!
//! The subtle thing: `hyper` and `reqwest` do log, but what they tell is never a span of ours, so that sending spans makes no
//! spans. And no answer is quoted: a collector's words may repeat our headers.

use std::time::Duration;

use model::fault::{Fault, FaultKind, causes};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::tls::Version;
use reqwest::{Certificate, Response, Url, redirect};

use crate::config::Otlp;

const AGENT: &str = concat!("anthropic-ecs/", env!("CARGO_PKG_VERSION"));

const CONNECT: Duration = Duration::from_secs(5);

/// How long a collector may wish not to be asked: what waits meanwhile is the same spans, and all others are dropped.
const LONGEST_WISH: Duration = Duration::from_secs(60);

/// What is read of an answer: it says how much was not taken, in some bytes.
const MOST_ANSWER: usize = 64 << 10;

const ALL_THE_SAME: &str = "records are delivered all the same";

/// Why a request was not taken.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) fault: Fault,
    /// Whether OTLP says that the same may be sent again.
    pub(super) may_pass_later: bool,
}

/// The way to the collector.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    headers: HeaderMap,
    traces: Option<Url>,
    metrics: Option<Url>,
}

impl Client {
    /// Reads the certificates. Nobody is reached.
    pub(super) fn new(otlp: &Otlp) -> Result<Self, Fault> {
        let unusable = |cause: String, remedy: &str| Fault::new(FaultKind::Unusable, cause, remedy);
        let mut builder = reqwest::Client::builder()
            .user_agent(AGENT)
            .min_tls_version(Version::TLS_1_2)
            .connect_timeout(CONNECT.min(otlp.timeout))
            .timeout(otlp.timeout)
            .redirect(redirect::Policy::none())
            .referer(false);
        if otlp.is_local {
            // A proxy of the environment would look for it on its own machine.
            builder = builder.no_proxy();
        }
        if let Some(path) = &otlp.ca_file {
            let at = format!("[telemetry.otlp] `ca_file`, {}", path.display());
            let pem = std::fs::read(path).map_err(|error| {
                unusable(format!("{at}, cannot be read: {error}"), "put it there, and let this user read it")
            })?;
            let certificates = Certificate::from_pem_bundle(&pem).unwrap_or_default();
            if certificates.is_empty() {
                return Err(unusable(
                    format!("{at}, holds no certificate"),
                    "let it hold certificates in PEM",
                ));
            }
            for certificate in certificates {
                builder = builder.add_root_certificate(certificate);
            }
        }
        let http = builder.build().map_err(|error| {
            unusable(
                format!("[telemetry.otlp] cannot be used: {}", causes(&error.without_url())),
                "see `ca_file`",
            )
        })?;
        let mut headers = otlp.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        Ok(Self { http, headers, traces: otlp.traces.clone(), metrics: otlp.metrics.clone() })
    }

    /// Sends spans once. Gives how many of them the collector did not take.
    pub(super) async fn traces(&self, request: &ExportTraceServiceRequest) -> Result<usize, Refused> {
        let Some(url) = &self.traces else { return Ok(0) };
        let answer = self.post(url, request.encode_to_vec()).await?;
        let partial =
            ExportTraceServiceResponse::decode(answer.as_slice()).unwrap_or_default().partial_success;
        Ok(partial.map_or(0, |partial| usize::try_from(partial.rejected_spans).unwrap_or(0)))
    }

    /// Sends metrics once.
    pub(super) async fn metrics(&self, request: &ExportMetricsServiceRequest) -> Result<(), Fault> {
        let Some(url) = &self.metrics else { return Ok(()) };
        let answer = self.post(url, request.encode_to_vec()).await.map_err(|refused| refused.fault)?;
        let answer = ExportMetricsServiceResponse::decode(answer.as_slice()).unwrap_or_default();
        match answer.partial_success.map_or(0, |partial| partial.rejected_data_points) {
            0 => Ok(()),
            rejected => {
                let cause = format!("{url} did not take {rejected} of the numbers");
                let remedy = format!("see the collector's log; {ALL_THE_SAME}");
                Err(Fault::new(FaultKind::Blocked, cause, remedy))
            }
        }
    }

    async fn post(&self, url: &Url, body: Vec<u8>) -> Result<Vec<u8>, Refused> {
        let request = self.http.post(url.clone()).headers(self.headers.clone()).body(body);
        let broke = |error: reqwest::Error| {
            let cause = format!("{url}: {}", causes(&error.without_url()));
            let remedy =
                format!("start the collector, or correct `endpoint` of [telemetry.otlp]; {ALL_THE_SAME}");
            Refused { fault: Fault::new(FaultKind::Unreachable, cause, remedy), may_pass_later: true }
        };
        let response = request.send().await.map_err(broke)?;
        if !response.status().is_success() {
            return Err(refused(url, &response));
        }
        let mut response = response;
        let mut answer = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(broke)? {
            let room = MOST_ANSWER.saturating_sub(answer.len());
            answer.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
        }
        Ok(answer)
    }
}

/// What an answer means that is no success. Which ones may be tried again stands in OTLP's specification.
fn refused(url: &Url, response: &Response) -> Refused {
    let status = response.status().as_u16();
    let (kind, remedy) = match status {
        401 => (FaultKind::Unauthenticated, "give `headers` of [telemetry.otlp] what the collector asks for"),
        403 => (FaultKind::Forbidden, "let the collector allow what `headers` of [telemetry.otlp] say"),
        404 | 405 => (
            FaultKind::Missing,
            "see that `endpoint` of [telemetry.otlp] takes OTLP over HTTP; 4318 is its usual port",
        ),
        413 => (FaultKind::TooLarge, "let the collector take larger requests"),
        415 => (FaultKind::Blocked, "see that `endpoint` of [telemetry.otlp] takes OTLP in Protobuf"),
        429 | 503 => {
            (FaultKind::Throttled, "give the collector more to work with, or set `sample_ratio` lower")
        }
        _ => (FaultKind::Unreachable, "see the collector's log"),
    };
    let after =
        response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let mut fault = Fault::new(kind, format!("{url} answered {status}"), format!("{remedy}; {ALL_THE_SAME}"));
    fault.retry_after = after.map(|seconds| Duration::from_secs(seconds).min(LONGEST_WISH));
    Refused { fault, may_pass_later: matches!(status, 429 | 502 | 503 | 504) }
}
