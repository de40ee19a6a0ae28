package org.example.splitcache;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;

/**
 * How a program uses splitcache.
 *
 * <pre>
 * java -jar splitcache-example.jar tour ADDRESS
 * java -jar splitcache-example.jar follow ADDRESS
 * java -jar splitcache-example.jar worker ADDRESS DATABASE
 * java -jar splitcache-example.jar commit-and-die DATABASE EVENT_ID TEXT
 * </pre>
 *
 * ADDRESS is host:port or unix:/path, DATABASE the path of a SQLite file.
 */
public final class Main {
  private static final String USAGE =
      "usage: tour ADDRESS | follow ADDRESS | worker ADDRESS DATABASE"
          + " | commit-and-die DATABASE EVENT_ID TEXT";

  private static volatile int exitCode;

  private Main() {}

  public static void main(String[] args) throws Exception {
    String command = args.length < 2 ? "" : args[0] + " " + (args.length - 1);
    switch (command) {
      case "tour 1", "follow 1", "worker 2" -> run(args);
      case "commit-and-die 3" -> Worker.commitAndDie(args[1], args[2], args[3]);
      default -> {
        System.err.println(USAGE);
        System.exit(2);
      }
    }
  }

  private static void run(String[] args) throws Exception {
    // SIGTERM is how a follower and a worker are meant to end: then with 0.
    if (!args[0].equals("tour")) {
      Runtime.getRuntime().addShutdownHook(new Thread(() -> Runtime.getRuntime().halt(exitCode)));
    }
    try (Cache cache = new Cache(args[1], "example.org")) {
      switch (args[0]) {
        case "tour" -> new Tour(cache).run();
        case "follow" -> new Follower(cache, new Printer()).run();
        default -> new Worker(cache, args[2])
            .run(new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8)));
      }
    } catch (Epochs.TwoSidecars found) {
      System.out.println(found.getMessage());
      exitCode = 3;
      System.exit(3);
    }
  }
}
