package dev.pocketfed.client.protocol

import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable

/** The version of the protocol that this client speaks. */
public const val PROTOCOL_VERSION: Int = 1

/** What vouches for a device: a service's [token] over the server's [challenge]. */
@Serializable
public data class Attestation(
    public val kind: String,
    public val token: String,
    public val challenge: String,
)

/** A device asks to become known, or known anew. */
@Serializable
public data class Enrolment(
    @SerialName("client_version") public val clientVersion: String,
    public val attestation: Attestation? = null,
    @SerialName("protocol_version") public val protocolVersion: Int = PROTOCOL_VERSION,
)

/** A known device. The [token] is shown once and holds for [expiresInS] seconds. */
@Serializable
public data class Device(
    @SerialName("device_id") public val deviceId: String,
    public val token: String,
    @SerialName("expires_in_s") public val expiresInS: Double? = null,
) {
    /** Without the token, which belongs in no log. */
    override fun toString(): String = "Device($deviceId)"
}
