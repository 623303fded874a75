package dev.pocketfed.client.participation

import dev.pocketfed.client.PocketFedException
import dev.pocketfed.client.Stopped
import dev.pocketfed.client.Unfit
import dev.pocketfed.client.protocol.Assignment
import dev.pocketfed.client.protocol.Capabilities
import dev.pocketfed.client.protocol.CheckIn
import dev.pocketfed.client.protocol.DeviceClient
import dev.pocketfed.client.protocol.EligibilityRules
import dev.pocketfed.client.protocol.Fate
import dev.pocketfed.client.protocol.NOT_ELIGIBLE
import dev.pocketfed.client.protocol.Outcome
import dev.pocketfed.client.protocol.Rejection
import dev.pocketfed.client.protocol.Report
import dev.pocketfed.client.protocol.RetryWindow
import dev.pocketfed.client.protocol.UploadInstruction
import dev.pocketfed.client.wire.Digest

/** One session: from the check-in, or from where an earlier process ended, to its end. */
internal class Sitting(private val parts: Parts, private val client: DeviceClient, private val watch: Watch) {
    private val requests = Requests(parts, client, watch)
    private val memory = parts.memory

    fun hold(): Participation = try {
        advance()
    } catch (failure: StepFailed) {
        afterwards(failure)
    } catch (stopped: Stopped) {
        interrupted(stopped)
    }

    private fun advance(): Participation {
        if (memory.identity == null) requests.enrol()
        val held = memory.course.place ?: return arrive()
        if (held.done == null && held.computeLeftS(parts.clock.now()) <= 0) {
            forget()
            return arrive()
        }
        return resume(held)
    }

    /** Goes on with a place of an earlier session, if the server still keeps it. */
    private fun resume(held: Place): Participation {
        val fate = requests.attempt(Step.REPORT) { it.fate(held.assignment.assignmentId) }
        parts.observe(Event(Mark.RESUMED, "${held.assignment.assignmentId} is ${fate.state}"))
        if (fate.isDelivered) return ended(SessionOutcome.ACCEPTED, fate.state, drawn(fate.retry), held.done)
        if (fate.isLost) return ended(SessionOutcome.LATE, fate.reason ?: fate.state, drawn(fate.retry))
        val isWhole = held.done?.sha256?.let(::isKept) ?: true
        return if (isWhole) serve(held) else abandoned(held, drawn(fate.retry))
    }

    private fun isKept(sha256: String): Boolean =
        memory.update.isFile && Digest.sha256(memory.update.readBytes()) == sha256

    /** The body that was announced is lost, and no other may take its place. */
    private fun abandoned(held: Place, due: Alarm): Participation {
        requests.attempt(Step.REPORT) { it.abort(held.assignment.assignmentId) }
        return ended(SessionOutcome.FAILED, "the finished update is damaged; the place was given back", due)
    }

    private fun arrive(): Participation {
        val sent = memory.course.checkingIn ?: Sent(newKey(), message())
        memory.keep(memory.course.copy(checkingIn = sent))
        val answer = try {
            requests.attempt(Step.CHECK_IN) { it.checkIn(parts.config.population, sent.message, sent.key) }
        } catch (failure: StepFailed) {
            if (!failure.isOpen) memory.keep(memory.course.copy(checkingIn = null))
            throw failure
        }
        return when (answer) {
            is Assignment -> serve(taken(answer))
            is Rejection -> ended(SessionOutcome.TURNED_AWAY, answer.reason, drawn(answer.retry))
        }
    }

    private fun message(): CheckIn {
        val config = parts.config
        val capabilities = Capabilities(Work.KINDS, parts.encoder.offered, config.runtime, config.shelfBytes)
        return CheckIn(config.clientVersion, capabilities, Integer.highestOneBit(parts.learner.numExamples()))
    }

    private fun taken(assignment: Assignment): Place {
        val place = Place(assignment, parts.clock.now(), drawn(assignment.retry))
        memory.keep(memory.course.copy(checkingIn = null, place = place))
        parts.observe(Event(Mark.ASSIGNED, assignment.assignmentId))
        return place
    }

    private fun serve(place: Place): Participation {
        watch.rules = rulesOf(place)
        val report = place.done ?: made(place)
        val answer = requests.attempt(Step.REPORT) { it.report(place.assignment.assignmentId, report) }
        parts.observe(Event(Mark.REPORTED, place.assignment.assignmentId))
        return when (answer) {
            is Fate -> ended(SessionOutcome.ACCEPTED, answer.state, drawn(answer.retry), report)
            is UploadInstruction -> deliver(place, report, answer)
        }
    }

    private fun made(place: Place): Report {
        watch.computing = place
        val report = Work(parts, requests, watch).report(place.assignment)
        watch.computing = null
        memory.keep(memory.course.copy(place = place.copy(done = report)))
        parts.observe(Event(Mark.KEPT, place.assignment.assignmentId))
        return report
    }

    /** What the app waits for, and what the plan asks beside it; a plan nobody can read asks for nothing. */
    private fun rulesOf(place: Place): EligibilityRules = try {
        place.assignment.readPlan().eligibility.and(parts.config.wakesWith)
    } catch (_: Unfit) {
        parts.config.wakesWith
    }

    private fun deliver(place: Place, report: Report, instruction: UploadInstruction): Participation {
        val sha256 = report.sha256.orEmpty()
        requests.attempt(Step.UPLOAD) { it.upload(instruction, memory.update, sha256) }
        parts.observe(Event(Mark.UPLOADED, place.assignment.assignmentId))
        return ended(SessionOutcome.ACCEPTED, "uploaded", place.comeBack, report)
    }

    /** Gives the place back: nothing will come of it. */
    private fun giveUp(place: Place, failure: StepFailed): Participation {
        watch.rules = parts.config.wakesWith
        watch.computing = null
        val outcome = if (failure.error.code == NOT_ELIGIBLE) Outcome.NOT_ELIGIBLE else Outcome.FAILED
        val due = try {
            given(requests.attempt(Step.REPORT) { it.report(place.assignment.assignmentId, Report(outcome)) }, place)
        } catch (_: StepFailed) {
            place.comeBack
        }
        return ended(SessionOutcome.FAILED, failure.message.orEmpty(), due)
    }

    private fun given(answer: Any, place: Place): Alarm = (answer as? Fate)?.let { drawn(it.retry) } ?: place.comeBack

    private fun afterwards(failure: StepFailed): Participation {
        val place = memory.course.place
        val policy = parts.config.retry
        val said = failure.message.orEmpty()
        if (failure.error.code == "unauthenticated") requests.forgetIdentity()
        return when (failure.remedy) {
            Remedy.SAME_REQUEST -> paused(SessionOutcome.FAILED, said, alarm(failure.waitS ?: 0.0))
            Remedy.NO_ANSWER -> paused(SessionOutcome.FAILED, said, alarm(policy.noAnswerWaitS(parts.random)))
            Remedy.REFUSED -> ended(SessionOutcome.REFUSED, said, alarm(policy.refusedWaitS(parts.random)))
            Remedy.GIVE_UP -> if (place == null) paused(SessionOutcome.FAILED, said, null) else giveUp(place, failure)
            Remedy.RETRY_WINDOW -> ended(endingOf(failure.error), said, place?.comeBack)
        }
    }

    private fun endingOf(error: PocketFedException): SessionOutcome =
        if (error.code in TOO_LATE) SessionOutcome.LATE else SessionOutcome.REFUSED

    /** Stops at once. Finished work waits for the next session; an open place is given back if that may be told. */
    private fun interrupted(stopped: Stopped): Participation {
        val place = memory.course.place
        val missing = watch.missing
        val said = stopped.message.orEmpty()
        if (place == null || place.done != null || watch.isTold) return paused(SessionOutcome.INTERRUPTED, said, null)
        if (watch.isTooLate) return ended(SessionOutcome.LATE, "the time to compute is over", place.comeBack)
        val mayTell = missing.isNotEmpty() && Condition.UNMETERED !in missing
        if (!mayTell) return paused(SessionOutcome.INTERRUPTED, said, null)
        return ended(SessionOutcome.INTERRUPTED, "lacks $missing", told(place))
    }

    /** One try, for the phone is to stop. */
    private fun told(place: Place): Alarm {
        val plain = DeviceClient(client.session, client.device)
        val report = Report(Outcome.INTERRUPTED)
        return try {
            given(plain.report(place.assignment.assignmentId, report), place)
        } catch (_: PocketFedException) {
            place.comeBack
        }
    }

    private fun ended(outcome: SessionOutcome, said: String, due: Alarm?, done: Report? = null): Participation {
        forget()
        return paused(outcome, said, due, done)
    }

    /** Ends the session and keeps what is under way. */
    private fun paused(outcome: SessionOutcome, said: String, due: Alarm?, done: Report? = null): Participation {
        memory.keep(memory.course.copy(due = due))
        parts.observe(Event(Mark.ENDED, "$outcome: $said"))
        val waitS = due?.remainingS(parts.clock.now()) ?: 0.0
        return Participation(outcome, said, waitS, done?.numExamples ?: 0)
    }

    private fun forget() {
        memory.keep(memory.course.copy(place = null, checkingIn = null))
        memory.update.delete()
    }

    private fun drawn(window: RetryWindow): Alarm = alarm(window.draw(parts.random))

    private fun alarm(waitS: Double) = Alarm(parts.clock.now(), waitS)
}

private val TOO_LATE = setOf("round_closed", "assignment_expired")
