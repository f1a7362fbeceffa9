//! TLS for both sides: version 1.3, with AES-128-GCM first, which is the fastest on current processors.
//!
//! The organisation's own certificate authority signs the engine's certificate, and the callers' if they use certificates. This
//! module reads certificates, keys and authorities from PEM.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Unusable PEM.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnusablePem {
    /// It contains no certificate.
    #[error("it contains no certificate")]
    NoCertificate,
    /// A certificate in it cannot be read.
    #[error("a certificate in it cannot be read: {0}")]
    Certificate(String),
    /// It contains no readable private key.
    #[error("it contains no readable private key: {0}")]
    Key(String),
}

/// The cipher suites and key exchanges that are offered and accepted.
pub fn provider() -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
    Arc::new(provider)
}

/// A chain of certificates, its owner's first.
///
/// # Errors
/// When there is none, or one cannot be read.
pub fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, UnusablePem> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|cause| UnusablePem::Certificate(cause.to_string()))?;
    if chain.is_empty() { Err(UnusablePem::NoCertificate) } else { Ok(chain) }
}

/// A private key.
///
/// # Errors
/// When there is no readable key.
pub fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, UnusablePem> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|cause| UnusablePem::Key(cause.to_string()))
}

/// The trusted authorities.
///
/// # Errors
/// When there is none, or one cannot be used.
pub fn authorities(pem: &[u8]) -> Result<RootCertStore, UnusablePem> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(pem)? {
        roots.add(certificate).map_err(|cause| UnusablePem::Certificate(cause.to_string()))?;
    }
    Ok(roots)
}
