package dev.pocketfed.client.participation

import dev.pocketfed.client.PocketFedException
import dev.pocketfed.client.protocol.DeviceClient
import dev.pocketfed.client.protocol.Session
import dev.pocketfed.client.training.Learner
import dev.pocketfed.client.training.StopSignal
import java.io.Closeable
import java.io.File
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
 * process or a later one, goes on with the same place and the same bytes. Calls block; one at a time.
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
        shelf = Shelf(File(folder, "shelf"), around.bundled, config.shelfBytes),
        learner = learner,
        encoder = encoder,
        conditions = around.conditions,
        attestor = around.attestor,
        clock = around.clock,
        random = around.random,
        observe = around.observe,
    )

    init {
        memory.course.due?.carriedTo(around.clock.now())?.let { memory.keep(memory.course.copy(due = it)) }
    }

    /** Seconds until there is something to do; 0 when [participate] would begin at once. */
    public val nextDueS: Double
        @Synchronized get() = memory.course.due?.remainingS(around.clock.now()) ?: 0.0

    /** Whether a place is held, so that the next session goes on with it. */
    public val holdsPlace: Boolean
        @Synchronized get() = memory.course.place != null

    /**
     * One session, or none when it is not due or the phone lacks something. Returns when it has ended or
     * [stop] is raised; an error of the protocol is an outcome, not an exception.
     */
    @Synchronized
    public fun participate(stop: StopSignal): Participation {
        val watch = Watch(parts, stop)
        if (nextDueS > 0) return Participation(SessionOutcome.NOT_DUE, "not due yet", nextDueS)
        val missing = watch.missing
        if (missing.isNotEmpty()) return Participation(SessionOutcome.NOT_READY, "lacks $missing", 0.0)
        return Sitting(parts, DeviceClient(session, memory.identity, watch), watch).hold()
    }

    /** Gives an open place back, if the server can be reached, and forgets what was made for it. */
    @Synchronized
    public fun leave() {
        val place = memory.course.place ?: return
        memory.keep(memory.course.copy(place = null))
        memory.update.delete()
        try {
            DeviceClient(session, memory.identity).abort(place.assignment.assignmentId)
        } catch (_: PocketFedException) {
            // The server gives the place to another once its time is over.
        }
    }

    /** Breaks off an exchange under way, from any thread, so that a raised stop is noticed at once. */
    public fun interrupt(): Unit = session.interrupt()

    override fun close(): Unit = session.close()
}
