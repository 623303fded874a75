package dev.pocketfed.client.participation

import dev.pocketfed.client.protocol.Assignment
import dev.pocketfed.client.protocol.CheckIn
import dev.pocketfed.client.protocol.Device
import dev.pocketfed.client.protocol.Enrolment
import dev.pocketfed.client.protocol.LENIENT
import dev.pocketfed.client.protocol.Report
import dev.pocketfed.client.wire.Digest
import java.io.File
import java.io.FileOutputStream
import java.io.IOException
import kotlinx.serialization.KSerializer
import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable
import kotlinx.serialization.SerializationException
import kotlinx.serialization.serializer

/** A request that may have arrived: the same [message] goes out again under the same [key]. */
@Serializable
internal data class Sent<T>(val key: String, val message: T)

/**
 * A place that is open as far as the phone knows, since [arrived]. [comeBack] was drawn from its window
 * then. [done] is what was made; the body it announces lies in a file of its own.
 */
@Serializable
internal data class Place(
    val assignment: Assignment,
    val arrived: Moment,
    @SerialName("come_back") val comeBack: Alarm,
    val done: Report? = null,
) {
    /** Seconds left to compute; below 0 once it is too late. */
    fun computeLeftS(now: Moment): Double = assignment.computeWithinS - arrived.until(now)
}

/** What is under way; all of it can be lost without harm to the server. */
@Serializable
internal data class Course(
    val enrolling: Sent<Enrolment>? = null,
    @SerialName("checking_in") val checkingIn: Sent<CheckIn>? = null,
    val place: Place? = null,
    val due: Alarm? = null,
)

/**
 * All that a phone keeps between processes: who it is, and what is under way.
 *
 * One file of two lines, each with its own digest, so that a damaged course does not cost the identity.
 * Every change is on storage before [keep] or [become] returns.
 */
internal class Memory(private val folder: File) {
    private val file = File(folder, "memory")

    /** The body that the place's report announces. */
    val update = File(folder, "update")

    var identity: Device? = null
        private set

    var course: Course = Course()
        private set

    init {
        if (!folder.isDirectory && !folder.mkdirs()) throw IOException("$folder cannot be made; give the client a folder")
        val lines = if (file.isFile) file.readLines() else emptyList()
        identity = lines.getOrNull(0)?.let { read(it, serializer<Device>()) }
        course = lines.getOrNull(1)?.let { read(it, serializer<Course>()) } ?: Course()
    }

    /** Who the phone is from now on, and what is under way then: one change. */
    fun become(device: Device?, changed: Course = course) {
        identity = device
        course = changed
        write()
    }

    fun keep(changed: Course) {
        course = changed
        write()
    }

    /** Keeps a delta's body, so that the very same bytes can be sent by a later process. */
    fun keepUpdate(body: ByteArray): Unit = replace(update, body)

    private fun write() {
        val lines = listOf(
            identity?.let { LENIENT.encodeToString(serializer<Device>(), it) }.orEmpty(),
            LENIENT.encodeToString(serializer<Course>(), course),
        )
        replace(file, lines.joinToString("") { "${Digest.sha256(it.encodeToByteArray())} $it\n" }.encodeToByteArray())
    }
}

private const val DIGEST_DIGITS = 64

private fun <T> read(line: String, kind: KSerializer<T>): T? {
    val text = line.drop(DIGEST_DIGITS + 1)
    if (text.isEmpty() || Digest.sha256(text.encodeToByteArray()) != line.take(DIGEST_DIGITS)) return null
    return try {
        LENIENT.decodeFromString(kind, text)
    } catch (_: SerializationException) {
        null // Of a version of this library that wrote otherwise.
    }
}

/** Writes a file anew; whoever is killed on the way finds the old one. */
internal fun replace(file: File, body: ByteArray) {
    val temporary = File(file.path + ".new")
    FileOutputStream(temporary).use { target ->
        target.write(body)
        target.fd.sync()
    }
    if (!temporary.renameTo(file)) throw IOException("$temporary cannot become $file; is the storage full?")
}
