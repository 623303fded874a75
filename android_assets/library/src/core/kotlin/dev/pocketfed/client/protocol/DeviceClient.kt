package dev.pocketfed.client.protocol

import dev.pocketfed.client.training.StopSignal
import dev.pocketfed.client.wire.Digest
import java.io.File
import kotlinx.serialization.serializer
import okhttp3.HttpUrl

/** The media type of an encoded delta. */
public const val WEIGHTS_TYPE: String = "application/vnd.pocketfed.weights+safetensors"

/**
 * The device's side of the protocol: one method per step, no policy. Each throws Refused, NoAnswer or
 * Stopped; what to repeat and what to give up is the caller's business. [device] is whom it acts for.
 */
public class DeviceClient(
    internal val session: Session,
    public var device: Device? = null,
    private val stop: StopSignal = StopSignal { false },
) {
    /** Becomes known to the server, or known anew; the same [key] has the same answer. */
    public fun enrol(enrolment: Enrolment, key: String): Device {
        val known = session.message(posting("/v1/devices", enrolment, key)) { serializer<Device>() }
        device = known
        return known
    }

    /** Offers to serve; being turned away is an answer, not an error. */
    public fun checkIn(population: String, message: CheckIn, key: String): CheckInAnswer =
        session.message(posting("/v1/populations/${segment(population)}/check-ins", message, key)) { status ->
            if (status == CREATED) serializer<Assignment>() else serializer<Rejection>()
        }

    /**
     * Fetches immutable bytes into [file], going on where an earlier download broke off. Throws Damaged
     * when they are not what was promised; the file is gone then.
     */
    public fun download(resource: Resource, file: File): Unit = Download(session, resource, file).run(device?.token, stop)

    /** Tells the outcome; one that announces a body is answered with where to send it. */
    public fun report(assignmentId: String, report: Report): ReportAnswer =
        session.message(posting("${placeOf(assignmentId)}/report", report)) {
            if (report.isAnnouncing) serializer<UploadInstruction>() else serializer<Fate>()
        }

    /**
     * Sends the body that was announced with [sha256], and commits it where the instruction asks for that;
     * doing both again is harmless.
     */
    public fun upload(instruction: UploadInstruction, body: File, sha256: String): Receipt {
        val headers = if (isForeign(instruction.url)) instruction.headers else instruction.headers + ownHeaders(sha256)
        val outgoing = Outgoing(
            instruction.method, instruction.url, device?.token, headers, FileOnce(body, stop), stop,
        )
        val commitUrl = instruction.commitUrl ?: return session.message(outgoing) { serializer<Receipt>() }
        session.transfer(outgoing) { }
        return session.message(
            Outgoing("POST", commitUrl, device?.token, body = BytesOnce(ByteArray(0)), stop = stop),
        ) { serializer<Receipt>() }
    }

    /** Gives a place back. */
    public fun abort(assignmentId: String): Unit =
        session.tell(Outgoing("DELETE", placeOf(assignmentId), device?.token, stop = stop))

    /** Asks where an assignment stands, after an answer was lost. */
    public fun fate(assignmentId: String): Fate =
        session.message(Outgoing("GET", placeOf(assignmentId), device?.token, stop = stop)) { serializer<Fate>() }

    private inline fun <reified T> posting(path: String, message: T, key: String? = null): Outgoing {
        val headers = mapOf("Content-Type" to "application/json", "Idempotency-Key" to key)
        val body = LENIENT.encodeToString(serializer<T>(), message).encodeToByteArray()
        return Outgoing("POST", path, device?.token, present(headers), BytesOnce(body), stop)
    }
}

private const val CREATED = 201

private fun present(headers: Map<String, String?>): Map<String, String> =
    headers.entries.mapNotNull { (name, value) -> value?.let { name to it } }.toMap()

private fun ownHeaders(sha256: String): Map<String, String> =
    mapOf("Content-Type" to WEIGHTS_TYPE, "Content-Digest" to Digest.contentDigest(sha256))

private fun placeOf(assignmentId: String): String = "/v1/assignments/${segment(assignmentId)}"

/** A name as one segment of a path. */
private fun segment(name: String): String =
    HttpUrl.Builder().scheme("https").host("h").addPathSegment(name).build().encodedPath.drop(1)
