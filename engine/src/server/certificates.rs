//! Callers' certificates (mutual TLS): signed by the organisation's own authority, and still valid.
//!
//! A caller may show one in the handshake; one that does not must have a token. The handshake checks it, and the hello once more: a
//! connection that resumes an earlier one shows nothing again, and its certificate may have expired since. Whose it is, the
//! credentials say; what is checked here says only that it may be asked.

use std::sync::Arc;

use quinn::Connection;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use scrip_protocol::hello::CloseCode;
use scrip_protocol::tls;

use super::connection::Closing;

/// What checks callers' certificates.
pub(super) struct Certificates {
    verifier: Arc<dyn ClientCertVerifier>,
}

impl Certificates {
    /// Takes those that an authority (PEM) has signed.
    pub(super) fn of(authority: &[u8]) -> Result<Certificates, String> {
        let roots = tls::authorities(authority).map_err(|cause| cause.to_string())?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), tls::provider()).allow_unauthenticated();
        Ok(Certificates { verifier: verifier.build().map_err(|cause| cause.to_string())? })
    }

    /// The same, for the handshake.
    pub(super) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        self.verifier.clone()
    }

    /// The certificate that a connection's caller has shown; none where it has shown none.
    pub(super) fn shown_on(&self, connection: &Connection) -> Result<Option<CertificateDer<'static>>, Closing> {
        let identity = connection.peer_identity();
        let Some(chain) = identity.and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok()) else {
            return Ok(None);
        };
        let Some((own, others)) = chain.split_first() else { return Ok(None) };
        match self.verifier.verify_client_cert(own, others, UnixTime::now()) {
            Ok(_) => Ok(Some(own.clone())),
            Err(cause) => {
                Err(Closing { code: CloseCode::Unauthenticated, reason: format!("the certificate is not taken: {cause}") })
            }
        }
    }
}
