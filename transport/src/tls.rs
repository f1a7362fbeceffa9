//! TLS as both sides use it: version 1.3, AES-128-GCM first, which is the fastest with the instructions of today's processors.
//!
//! The engine's certificate, and the callers' where they show one, are signed by the organisation's own authority: who trusts what is
//! read here from PEM.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// PEM that cannot be used for what it was given for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnusablePem {
    /// It holds no certificate.
    #[error("it contains no certificate")]
    NoCertificate,
    /// A certificate in it cannot be read.
    #[error("a certificate in it cannot be read: {0}")]
    Certificate(String),
    /// It holds no private key that can be read.
    #[error("it contains no readable private key: {0}")]
    Key(String),
}

/// The cipher suites and key exchanges that are offered and taken.
pub fn provider() -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
    Arc::new(provider)
}

/// A chain of certificates, that of its owner first.
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
/// When there is none that can be read.
pub fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, UnusablePem> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|cause| UnusablePem::Key(cause.to_string()))
}

/// The authorities whose signatures are trusted.
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
