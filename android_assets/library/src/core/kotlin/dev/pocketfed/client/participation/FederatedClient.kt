package dev.pocketfed.client.participation

import dev.pocketfed.client.PocketFedException
import dev.pocketfed.client.protocol.DeviceClient
import dev.pocketfed.client.protocol.Session
import dev.pocketfed.client.training.Learner
import dev.pocketfed.client.training.StopSignal
import java.io.Closeable
import java.io.File
import java.io.RandomAccessFile
import java.nio.channels.OverlappingFileLockException
import java.security.SecureRandom
import kotlin.random.Random
import kotlin.random.asKotlinRandom
import okhttp3.OkHttpClient

/** What an app plugs into a client beside its [Learner]; each has a default that suits a test bench. */
public class Surroundings(
    public val conditions: Conditions = Conditions { emptySet() },
    public val attestor: Attestor? = null,
    public val bundled: Bundled = Bundled { null },
    public val clock: PhoneClock = MachineClock(),
    public val random: Random = SecureRandom().asKotlinRandom(),
    public val http: OkHttpClient = OkHttpClient(),
    public val observe: (Event) -> Unit = {},
)

/**
 * A phone's part in federated learning.
 *
 * All it must not forget lies in [folder], which belongs to it alone: a client on the same folder, in this
 * process or a later one, goes on with the same place and the same bytes. Sessions block, one at a time;
 * the properties and [interrupt] answer at once on any thread.
 */
public class FederatedClient(
    private val config: ClientConfig,
    private val folder: File,
    learner: Learner,
    encoder: DeltaEncoder,
    private val around: Surroundings = Surroundings(),
) : Closeable {
    private val session = Session(config.server, around.http, config.timeouts)
    private val memory = Memory(folder)
    private val parts = Parts(
        config = config,
        memory = memory,
        shelf = Shelf(File(folder, "shelf"), around.bundled, config.shelfBytes, around.clock),
        learner = learner,
        encoder = encoder,
        conditions = around.conditions,
        attestor = around.attestor,
        clock = around.clock,
        random = around.random,
        observe = around.observe,
    )

    init {
        alone { keepTime() }
    }

    /** Seconds until there is something to do; 0 when [participate] would begin at once. */
    public val nextDueS: Double
        get() = memory.course.due?.remainingS(around.clock.now()) ?: 0.0

    /** Whether a place is held, so that the next session goes on with it. */
    public val holdsPlace: Boolean
        get() = memory.course.place != null

    /**
     * One session, or none when it is not due or the phone lacks something. Returns when it has ended or
     * [stop] is raised; an error of the protocol is an outcome, not an exception. Throws IOException when
     * the folder cannot be written.
     */
    @Synchronized
    public fun participate(stop: StopSignal): Participation = alone {
        keepTime()
        val watch = Watch(parts, stop)
        val missing = watch.missing
        when {
            nextDueS > 0 -> Participation(SessionOutcome.NOT_DUE, "not due yet", nextDueS)
            missing.isNotEmpty() -> Participation(SessionOutcome.NOT_READY, "lacks $missing", 0.0)
            else -> Sitting(parts, DeviceClient(session, memory.identity, watch), watch).hold()
        }
    } ?: Participation(SessionOutcome.NOT_READY, "another client works on this folder", nextDueS)

    /**
     * Gives an open place back, if the server can be reached, and forgets what was made for it. An app whose
     * user withdraws altogether deletes the folder after it.
     */
    @Synchronized
    public fun leave() {
        alone { memory.course.place?.let(::giveBack) }
    }

    private fun giveBack(place: Place) {
        memory.keep(memory.course.copy(place = null))
        memory.update.delete()
        try {
            DeviceClient(session, memory.identity).abort(place.assignment.assignmentId)
        } catch (_: PocketFedException) {
            // The server gives the place to another once its time is over.
        }
    }

    /** Counts a wait of an earlier run of the phone by the clock of this one. */
    private fun keepTime() {
        val due = memory.course.due ?: return
        val carried = due.carriedTo(around.clock.now())
        if (carried != due) memory.keep(memory.course.copy(due = carried))
    }

    /** What [act] gives, or null while another client, of this process or another, works on the folder. */
    private fun <T> alone(act: () -> T): T? = RandomAccessFile(File(folder, "lock"), "rw").use { file ->
        val lock = try {
            file.channel.tryLock()
        } catch (_: OverlappingFileLockException) {
            null
        }
        if (lock == null) return null
        try {
            memory.recall()
            act()
        } finally {
            lock.release() // A FileLock is AutoCloseable only in later versions of Android.
        }
    }

    /** Breaks off an exchange under way, from any thread, so that a raised stop is noticed at once. */
    public fun interrupt(): Unit = session.interrupt()

    override fun close(): Unit = session.close()
}
