//! The relay's HTTP API as a client sees it.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response};
use serde::{Serialize, de::DeserializeOwned};
use shoal_wire::{
    api::{ApiError, BlobCreated, JobCreated, JobStatus, JoinInfo, MapOutput, RewardsInfo},
    ids::{BlobId, JobId},
    job::{JobSpec, MapSpec},
};

use crate::{args::RelayArgs, error::CliError, files};

/// Reaching a relay at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// One request: the largest blob over a slow uplink.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(600);

/// Outputs of a map job in one answer: as many as a relay gives.
pub(crate) const OUTPUTS_PER_PAGE: usize = 4096;

/// A relay.
#[derive(Debug)]
pub(crate) struct RelayApi {
    client: Client,
    url: String,
    token: Option<String>,
}

impl RelayApi {
    pub(crate) fn new(args: &RelayArgs) -> Result<Self, CliError> {
        let token = args.token_file.as_deref().map(files::read_text).transpose()?;
        Ok(Self::at(&args.relay_url, token.map(|token| token.trim().to_owned())))
    }

    pub(crate) fn at(url: &str, token: Option<String>) -> Self {
        let client = Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(REQUEST_TIMEOUT).no_proxy().build();
        let client = client.expect("a client without TLS needs nothing of the system");
        Self { client, url: url.trim_end_matches('/').to_owned(), token }
    }

    /// How to join.
    pub(crate) async fn join_info(&self) -> Result<JoinInfo, CliError> {
        self.ask(self.request(Method::GET, "/v1/join")).await
    }

    /// Uploads a blob.
    pub(crate) async fn upload(&self, bytes: Vec<u8>) -> Result<BlobId, CliError> {
        let expected = BlobId::of(&bytes);
        let request = self.request(Method::PUT, "/v1/blobs");
        let request = request.header("content-type", "application/octet-stream").body(bytes);
        let created: BlobCreated = self.ask(request).await?;
        if created.id != expected {
            let reason = format!("blob {} became {}", expected, created.id);
            return Err(CliError::UnknownAnswer { url: self.path("/v1/blobs"), status: 200, reason });
        }
        Ok(created.id)
    }

    /// Submits a training job.
    pub(crate) async fn submit(&self, spec: &JobSpec) -> Result<JobId, CliError> {
        self.submit_document(spec).await
    }

    /// Submits a map job.
    pub(crate) async fn submit_map(&self, spec: &MapSpec) -> Result<JobId, CliError> {
        self.submit_document(spec).await
    }

    async fn submit_document(&self, spec: &impl Serialize) -> Result<JobId, CliError> {
        let created: JobCreated = self.ask(self.request(Method::POST, "/v1/jobs").json(spec)).await?;
        Ok(created.id)
    }

    /// How a job goes.
    pub(crate) async fn job(&self, id: &JobId) -> Result<JobStatus, CliError> {
        self.ask(self.request(Method::GET, &format!("/v1/jobs/{id}"))).await
    }

    /// All jobs, oldest first.
    pub(crate) async fn jobs(&self) -> Result<Vec<JobStatus>, CliError> {
        self.ask(self.request(Method::GET, "/v1/jobs")).await
    }

    /// Cancels a job.
    pub(crate) async fn cancel(&self, id: &JobId) -> Result<JobStatus, CliError> {
        self.ask(self.request(Method::POST, &format!("/v1/jobs/{id}/cancel"))).await
    }

    /// A job's model, safetensors.
    pub(crate) async fn model(&self, id: &JobId) -> Result<Vec<u8>, CliError> {
        self.bytes(&format!("/v1/jobs/{id}/model")).await
    }

    /// Outputs of a map job that are accepted so far, in the order of the shards from one on: at most
    /// [`OUTPUTS_PER_PAGE`], fewer if there are no more.
    pub(crate) async fn outputs(&self, id: &JobId, from: u32) -> Result<Vec<MapOutput>, CliError> {
        let path = format!("/v1/jobs/{id}/outputs?from={from}&limit={OUTPUTS_PER_PAGE}");
        self.ask(self.request(Method::GET, &path)).await
    }

    /// A blob's bytes, which must be those of its name.
    pub(crate) async fn blob(&self, id: &BlobId) -> Result<Vec<u8>, CliError> {
        let path = format!("/v1/blobs/{id}");
        let bytes = self.bytes(&path).await?;
        match BlobId::of(&bytes) {
            found if found == *id => Ok(bytes),
            found => {
                let reason = format!("{} bytes of blob {found}", bytes.len());
                Err(CliError::UnknownAnswer { url: self.path(&path), status: 200, reason })
            }
        }
    }

    async fn bytes(&self, path: &str) -> Result<Vec<u8>, CliError> {
        let response = self.send(self.request(Method::GET, path)).await?;
        let bytes = response.bytes().await.map_err(|error| self.unreachable(path, &error))?;
        Ok(bytes.to_vec())
    }

    /// What was earned.
    pub(crate) async fn rewards(&self, query: &[(&str, &str)]) -> Result<RewardsInfo, CliError> {
        let pairs: Vec<String> = query.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let path = if pairs.is_empty() { "/v1/rewards".to_owned() } else { format!("/v1/rewards?{}", pairs.join("&")) };
        self.ask(self.request(Method::GET, &path)).await
    }

    fn path(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, self.path(path));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CliError> {
        let response = self.send(request).await?;
        let (url, status) = (response.url().to_string(), response.status().as_u16());
        let body = response.bytes().await.map_err(|error| self.unreachable("", &error))?;
        serde_json::from_slice(&body).map_err(|error| CliError::UnknownAnswer {
            url,
            status,
            reason: error.to_string(),
        })
    }

    /// Sends a request; anything but success is an error in the relay's words.
    async fn send(&self, request: RequestBuilder) -> Result<Response, CliError> {
        let response = request.send().await.map_err(|error| self.unreachable("", &error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let url = response.url().to_string();
        let body = response.bytes().await.map_err(|error| self.unreachable("", &error))?;
        match serde_json::from_slice::<ApiError>(&body) {
            Ok(error) => Err(CliError::RelayRefused { status: status.as_u16(), error }),
            Err(error) => Err(CliError::UnknownAnswer { url, status: status.as_u16(), reason: error.to_string() }),
        }
    }

    fn unreachable(&self, path: &str, error: &reqwest::Error) -> CliError {
        // The innermost cause says what happened; the outer ones repeat the URL.
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        CliError::Unreachable { url: self.path(path), reason: cause.to_string() }
    }
}
